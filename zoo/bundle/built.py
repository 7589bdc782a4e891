"""The engines that were built into a bundle, for those who list them and never load one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.bundle import sidecar
from zoo.bundle.bundle import Bundle
from zoo.bundle.sidecar import Sidecar
from zoo.errors import InputError


@dataclass(frozen=True)
class Built:
    """One folder below `engines/`: its sidecar, or in `problem` why it cannot be read."""

    folder: Path
    about: Sidecar | None
    problem: str = ""

    @property
    def key(self) -> str:
        """The folder's name."""
        return self.folder.name

    def stale(self, bundle: Bundle) -> bool:
        """Whether it was built from another graph than the bundle's."""
        return self.about is None or sidecar.made_of(bundle.path / self.about.graph.name, self.about) is not None

    def artefact(self) -> Path:
        """The engine's file, its size and hash checked. `InputError` when it is not the one that was built."""
        if self.about is None:
            raise InputError(self.problem)
        return sidecar.artefact(self.folder, self.about)


def engines(bundle: Bundle) -> list[Built]:
    """All engines of a bundle, by the name of their folder."""
    return [_read(folder) for folder in sidecar.folders(bundle.path)]


def _read(folder: Path) -> Built:
    try:
        return Built(folder, sidecar.read(folder))
    except InputError as error:
        return Built(folder, None, str(error))
