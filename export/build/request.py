"""What `zoo build` was asked for, as every maker gets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.bundle.bundle import Bundle
from zoo.bundle.sidecar import Sidecar


@dataclass(frozen=True)
class Request:
    """An engine to build. `batch`: fewest images, the number it is to be fastest at, most; None: the maker's usual.

    The fields after `device` are options of single makers, which name them in `Builder.options`; None or False where
    nothing was said.
    """

    backend: str
    precision: str
    batch: tuple[int, int, int] | None
    device: str
    checkpoint: Path | None = None
    hardware_compatible: bool = False
    version_compatible: bool = False
    plan_ratio: float | None = None


# What `Builder.maker` names: the engine's sidecar, and whether it had to be built.
BuildFunction = Callable[[Bundle, Request], tuple[Sidecar, bool]]
