"""What stands beside a built engine, and whether the engine may be used here. Schema `zoo.engine/1`.

What `zoo build` makes is for one machine or one kind of them: it lies in `name.zoo/engines/KEY/` with a
`sidecar.json` that says what it was made of and for. All of that is checked before the library sees one byte of it.
The hashes find damage and mix-ups. They do not make a stranger's bundle safe: who can change the engine can change the
sidecar, so load engines only from where you would run a program from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from zoo.bundle.manifest import Executed, FileEntry
from zoo.errors import EnvironmentProblem, InputError
from zoo.files import sha256, write_text
from zoo.schemas import Strict, read_json

SCHEMA: Literal["zoo.engine/1"] = "zoo.engine/1"
FOLDER, FILE = "engines", "sidecar.json"


class NotBuilt(EnvironmentProblem):
    """There is no engine of a graph that fits this machine; the line says why, and the command that makes one."""


class Named(FileEntry):
    """A file by its name, hash and size."""

    name: str = Field(pattern=r"^[^/\\]+$")


class Processor(Strict):
    """What an engine's code was made for: a GPU, or a CPU."""

    name: str
    kind: str = Field(description="compute capability of a GPU ('9.0'); instruction set and its hash of a CPU")
    driver: str | None = Field(description="the CUDA version that the GPU's driver supports ('13.0'); null: a CPU")


class SelfTest(Strict):
    """How far the new engine was from the bundle's self-test vectors, before it was kept."""

    difference: float
    tolerance: float


class Sidecar(Strict):
    """The whole of `sidecar.json`."""

    schema_: Literal["zoo.engine/1"] = Field(SCHEMA, alias="schema")
    backend: str
    precision: Executed
    device: Literal["cpu", "cuda"]
    graph: Named = Field(description="the graph of the bundle that the engine computes")
    artefact: Named
    library: str = Field(description="version of TensorRT, torch or ONNX Runtime")
    processor: Processor
    batch: tuple[int, int, int] = Field(description="fewest images, the number it is fastest at, most")
    settings: dict[str, Any] = Field(description="what the builder was told, flags by name: their numbers change")
    proof: dict[str, Any] | None = Field(description="of the precision that really runs; null: the library offers none")
    selftest: SelfTest | None = Field(description="null only while the engine is being built")


def write(folder: Path, sidecar: Sidecar) -> None:
    """Write `folder/sidecar.json`."""
    text = json.dumps(sidecar.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False)
    write_text(folder / FILE, text + "\n")


def read(folder: Path) -> Sidecar:
    """The sidecar in `folder`; `InputError` says what is wrong with it."""
    return read_json(folder / FILE, Sidecar, SCHEMA, missing=f"{folder} has no {FILE}")


def engine_key(*parts: str) -> str:
    """The folder's name: lower case, and nothing that a file system could mind."""
    return "-".join(re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-.") for part in parts)


def folders(bundle: Path, backend: str = "") -> list[Path]:
    """The folders of the engines of a bundle, of one backend or all."""
    found = (bundle / FOLDER).glob("*")
    return sorted(path for path in found if path.is_dir() and path.name.startswith(backend) and path.name[0] != ".")


def artefact(folder: Path, sidecar: Sidecar) -> Path:
    """The engine's file, its size and hash checked. `InputError` when it is not the one that was built."""
    path, entry = folder / sidecar.artefact.name, sidecar.artefact
    if not path.is_file():
        raise InputError(f"{path} is missing: zoo build makes it again")
    if path.stat().st_size != entry.bytes or sha256(path) != entry.sha256:
        raise InputError(
            f"{path} is not the file that was built (its SHA-256 is not the sidecar's) and is not loaded: "
            "zoo build makes it again"
        )
    return path


def made_of(graph: Path, sidecar: Sidecar) -> str | None:
    """None when the engine was built from this very graph, otherwise what differs."""
    if graph.name != sidecar.graph.name or not graph.is_file() or sha256(graph) != sidecar.graph.sha256:
        return f"it was built from another {sidecar.graph.name}"
    return None


def review(bundle: Path) -> list[tuple[str, str | None]]:
    """Every engine's folder, and what it was built from if that is not in the bundle any more.

    Raises `InputError` for a sidecar that cannot be read and for an artefact that is not the one that was built.
    """
    found = []
    for folder in folders(bundle):
        about = read(folder)
        artefact(folder, about)
        found.append((folder.name, made_of(bundle / about.graph.name, about)))
    return found


def find(
    graph: Path, *, backend: str, precision: str, device: str, misfit: Callable[[Sidecar], str | None]
) -> tuple[Path, Sidecar]:
    """Folder and sidecar of the engine for `graph` that fits here; its artefact is not checked yet.

    `misfit` says what of the machine differs, or None. Raises `NotBuilt` with all reasons when none fits.
    """
    reasons = []
    for folder in folders(graph.parent, f"{backend}-"):
        try:
            sidecar = read(folder)
        except InputError as error:
            reasons.append(str(error))
            continue
        if (sidecar.backend, sidecar.precision, sidecar.device) != (backend, precision, device):
            continue
        reason = made_of(graph, sidecar) or misfit(sidecar)
        if reason is None:
            return folder, sidecar
        reasons.append(f"{folder.name} is stale: {reason}")
    build = f"zoo build {graph.parent} --backend {backend} --precision {precision}"
    reasons = reasons or [f"no {backend} engine of {graph.name} for {device} is built"]
    raise NotBuilt(f"{graph.parent}: {'; '.join(reasons)}: {build} makes one")
