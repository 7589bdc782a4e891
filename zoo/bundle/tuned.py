"""What `zoo tune` found best for a bundle on this machine, kept in the user's cache for `zoo.load` to use.

An entry belongs to the content of a bundle (the hash of its manifest, which holds the hashes of its files), to the
processor, to the number of cores allowed and to the version of the library that its backend stands on. One that does
not fit any more is ignored with a line in the log and never an error: a cache can only ever save time. Another backend
that came, went or changed since leaves the choice as good as it was.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from zoo.bundle.bundle import MANIFEST, Bundle
from zoo.files import sha256
from zoo.machine import LIBRARIES, cores, cpu_model, libraries
from zoo.machine_store import MachineStore
from zoo.schemas import Strict

SCHEMA: Final = "zoo.tuned/1"
Aim = Literal["latency", "throughput"]
log = logging.getLogger(__name__)


class Choice(Strict):
    """One entry of the cache."""

    schema_: Literal["zoo.tuned/1"] = Field(SCHEMA, alias="schema")
    bundle: str
    manifest_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    machine: str = Field(description="processor and cores")
    libraries: dict[str, str] = Field(description="all that were installed, with their versions")
    library: str | None = Field(None, description="the one that the backend stands on; null: an older choice")
    created: datetime
    aim: Aim
    backend: str
    precision: str
    device: str
    threads: int = Field(gt=0)
    batch: int = Field(gt=0, description="of the call; for throughput also what `predict_many` takes")
    p50_ms: float = Field(gt=0, description="of one call with `batch` images")
    images_per_second: float = Field(gt=0)
    memory_bytes: int = Field(gt=0, description="peak resident memory of the measuring process")
    metric: str
    accuracy: float
    lost: float = Field(description="how much worse than the fp32 graph, in the task's unit")
    evidence: str = Field(description="what the accuracy was taken from")

    @property
    def text(self) -> str:
        """The choice in a few words."""
        threads = f"{self.threads} thread{'s' if self.threads != 1 else ''}"
        return f"{self.backend} {self.precision}, {threads}, batch {self.batch}"


STORE = MachineStore("tuned", Choice, SCHEMA, log)


def machine() -> str:
    """The part of this machine that no update changes."""
    return f"{platform.machine()}, {cpu_model()}, {cores()} cores"


def identity(bundle: Bundle) -> str:
    """Hex SHA-256 of the manifest: equal for equal content, wherever the bundle lies."""
    return sha256(bundle.path / MANIFEST)


def key(bundle: Bundle) -> str:
    """What the choice belongs to: the content of the bundle and this machine, as hex SHA-256."""
    return hashlib.sha256(f"{identity(bundle)}\n{machine()}".encode()).hexdigest()


def keep(bundle: Bundle, choice: Choice) -> Path:
    """Write the choice; returns its file."""
    return STORE.keep(key(bundle), choice)


def forget(bundle: Bundle) -> bool:
    """Remove the choice; False when there was none."""
    return STORE.forget(key(bundle))


def find(bundle: Bundle) -> Choice | None:
    """The choice that fits this bundle and this machine as they are now."""
    ignored = f"the tuned choice of {bundle.path} is ignored"
    return STORE.find(lambda: key(bundle), ignored, objection=lambda choice: _changed(choice, libraries()))


def _changed(choice: Choice, now: dict[str, str]) -> str:
    """How the library of the choice has changed since, and what to do; empty when it has not."""
    before, needed = choice.libraries, _packages(choice)
    for name in sorted(before.keys() | now.keys()):
        if name in needed and before.get(name) != now.get(name):
            versions = f"{before.get(name, 'not installed')} to {now.get(name, 'not installed')}"
            return f"{name} went from {versions} since; `zoo tune` measures again"
    return ""


def _packages(choice: Choice) -> set[str]:
    """The packages that may bring the library of the choice. An older choice does not say which that is: it is that of
    the backend's name, or any.
    """
    known = set(LIBRARIES.values())
    library = choice.library or next((name for name in known if choice.backend.startswith(name)), None)
    if library is None:
        return LIBRARIES.keys() | choice.libraries.keys()
    return {package for package, name in LIBRARIES.items() if name == library}


def new(bundle: Bundle, **facts: Any) -> Choice:
    """A choice for this bundle on this machine; `facts` are the fields that were measured."""
    return Choice(
        schema=SCHEMA,
        bundle=bundle.manifest.name,
        manifest_sha256=identity(bundle),
        machine=machine(),
        libraries=libraries(),
        **facts,
    )
