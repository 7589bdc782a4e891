"""What `zoo tune` found best for a bundle on this machine, kept in the user's cache for `zoo.load` to use.

An entry belongs to the content of a bundle (the hash of its manifest, which holds the hashes of its files), to the
processor, to the number of cores allowed and to the versions of the libraries. One that does not fit any more is
ignored with a line in the log and never an error: a cache can only ever save time.
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
from zoo.errors import InputError
from zoo.files import cache_folder, sha256, write_text
from zoo.machine import cores, cpu_model, libraries
from zoo.schemas import Strict, read_json

SCHEMA: Final = "zoo.tuned/1"
Aim = Literal["latency", "throughput"]
log = logging.getLogger(__name__)


class Choice(Strict):
    """One entry of the cache."""

    schema_: Literal["zoo.tuned/1"] = Field(SCHEMA, alias="schema")
    bundle: str
    manifest_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    machine: str = Field(description="processor and cores")
    libraries: dict[str, str]
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


def machine() -> str:
    """The part of this machine that no update changes."""
    return f"{platform.machine()}, {cpu_model()}, {cores()} cores"


def identity(bundle: Bundle) -> str:
    """Hex SHA-256 of the manifest: equal for equal content, wherever the bundle lies."""
    return sha256(bundle.path / MANIFEST)


def folder() -> Path:
    """Where choices are kept: `distilzoo/tuned` in the user's cache."""
    return cache_folder() / "tuned"


def place(bundle: Bundle) -> Path:
    """The file of this bundle's choice on this machine, whether there is one or not."""
    key = hashlib.sha256(f"{identity(bundle)}\n{machine()}".encode()).hexdigest()
    return folder() / f"{key[:32]}.json"


def keep(bundle: Bundle, choice: Choice) -> Path:
    """Write the choice; returns its file."""
    path = place(bundle)
    write_text(path, choice.model_dump_json(indent=2, by_alias=True) + "\n")
    return path


def forget(bundle: Bundle) -> bool:
    """Remove the choice; False when there was none."""
    path = place(bundle)
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def find(bundle: Bundle) -> Choice | None:
    """The choice that fits this bundle and this machine as they are now."""
    try:
        path = place(bundle)
        if not path.exists():
            return None
        choice = read_json(path, Choice, SCHEMA, missing="")
    except (InputError, OSError, RuntimeError) as error:  # the last: a user without a home
        log.warning("the tuned choice of %s is ignored: %s", bundle.path, error)
        return None
    if changed := _changed(choice.libraries, libraries()):
        log.warning("the tuned choice of %s is ignored: %s since; `zoo tune` measures again", bundle.path, changed)
        return None
    return choice


def _changed(before: dict[str, str], now: dict[str, str]) -> str:
    """Which library is another one than `before`, in words; empty when none is."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            return f"{name} went from {before.get(name, 'not installed')} to {now.get(name, 'not installed')}"
    return ""


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
