"""What is known of the engines that were built into a bundle, for those who list them and never load one.

Whoever loads an engine checks all of its `sidecar.json`. Here the few facts are read that a card or a server's
repository needs; a sidecar that says more is fine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from zoo.engines.bundle import Bundle
from zoo.engines.manifest import FileEntry, Precision
from zoo.errors import InputError
from zoo.files import sha256
from zoo.schemas import read_json

SCHEMA: Literal["zoo.engine/1"] = "zoo.engine/1"
FOLDER, SIDECAR = "engines", "sidecar.json"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Named(FileEntry):
    """A file by its name, hash and size."""

    name: str = Field(pattern=r"^[^/\\]+$")


class Processor(_Facts):
    """What the engine's code was made for."""

    name: str


class About(_Facts):
    """The part of a sidecar that is read here."""

    backend: str
    precision: Precision
    device: Literal["cpu", "cuda"]
    graph: Named
    artefact: Named
    library: str = Field(description="version of TensorRT or torch")
    processor: Processor
    batch: tuple[int, int, int] = Field(description="fewest images, the number it is fastest at, most")


@dataclass(frozen=True)
class Built:
    """One folder below `engines/`: its sidecar, or in `problem` why it cannot be read."""

    folder: Path
    about: About | None
    problem: str = ""

    @property
    def key(self) -> str:
        """The folder's name."""
        return self.folder.name

    def stale(self, bundle: Bundle) -> bool:
        """Whether it was built from another graph than the bundle's."""
        graph = None if self.about is None else bundle.manifest.graphs.get(self.about.precision)
        if self.about is None or graph is None or graph.file != self.about.graph.name:
            return True
        return bundle.manifest.files[graph.file].sha256 != self.about.graph.sha256

    def artefact(self) -> Path:
        """The engine's file, its size and hash checked. `InputError` when it is not the one that was built."""
        if self.about is None:
            raise InputError(self.problem)
        path, entry = self.folder / self.about.artefact.name, self.about.artefact
        if not path.is_file() or path.stat().st_size != entry.bytes or sha256(path) != entry.sha256:
            raise InputError(f"{path} is not the file that was built: zoo build makes it again")
        return path


def engines(bundle: Bundle) -> list[Built]:
    """All engines of a bundle, by the name of their folder."""
    places = (bundle.path / FOLDER).glob("*")
    return [_read(place) for place in sorted(places) if place.is_dir() and not place.name.startswith(".")]


def _read(place: Path) -> Built:
    try:
        return Built(place, read_json(place / SIDECAR, About, SCHEMA, missing=f"{place} has no {SIDECAR}"))
    except InputError as error:
        return Built(place, None, str(error))
