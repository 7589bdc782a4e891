"""What a backend is: a class that runs a graph on some library, and whose attributes say what it can.

The order of calls. The attributes are read first, and often nothing else: which backends there are, what they run on,
what has to be built. So the module of a backend imports nothing heavy; its library is imported by the constructor. The
constructor gets a graph and what was asked for, opens it, and reads back what the library really uses: a device,
precision or number of threads that was asked for and is not used is an error, never a silent fallback. After that
`run` is called any number of times, and `versions` says what ran.

    class Mine(Backend):
        name, library, extra = "mine", "my_library", "mine"  # pip install 'distilzoo[mine]'
        devices = ("cpu",)

        def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None) -> None:
            self.device, self.threads = device, threads or cores()
            self._model = my_library().load(graph, threads=self.threads)

        def run(self, images: Pixels) -> Logits:
            return self._model(images)

        def versions(self) -> dict[str, Any]:
            return {"my_library": my_library().__version__}

    kind = backend_class("mine")  # by name, from zoo/engines/registry.py: that is the one line to add
    engine = kind(Path("model.fp32.onnx"), precision="fp32", device=kind.devices[0], threads=None)
    logits = engine.run(images)  # uint8 [N, H, W, 3] -> float32 [N, outputs]
    if isinstance(engine, Timed):  # what only some can: Timed, Profiled, Replayable, Closable
        seconds = engine.compute_seconds(images, 100)

CONTRIBUTING.md has a complete example, with every file that it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import numpy.typing as npt

from zoo.bundle.manifest import Executed, Precision
from zoo.engines.layers import LayerTime
from zoo.errors import EnvironmentProblem, missing_package

Pixels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]
Device = Literal["cpu", "cuda"]
GRAPHS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Builder:
    """How `zoo build` makes the engines of a backend that does not run a graph as it is.

    `maker`: `"module:function"`, imported by `zoo build` alone: (`Bundle`, `export.build.request.Request`) -> the
    sidecar, and whether anything had to be built. `precisions`: what it builds for each kind of device, the usual one
    first; `synonyms`: other names that are taken for them. `options`: the fields of `Request` that it heeds besides
    bundle, precision, batch and device. `extra`: what of distilzoo has to be installed for the maker.
    """

    maker: str
    precisions: Mapping[Device, tuple[Executed, ...]]
    synonyms: tuple[Executed, ...] = ()
    options: tuple[str, ...] = ()
    extra: str = "export"


class Runnable(Protocol):
    """Something loaded that runs. Immutable; `run` may be called from several threads at once."""

    name: str
    device: str  # as it was asked for: cpu, cuda, cuda:1
    threads: int

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, outputs] out."""
        ...

    def versions(self) -> dict[str, Any]:
        """Name and version of the library, and what it reports about itself."""
        ...


class Backend(Runnable, Protocol):
    """A class that runs graphs of a bundle. This file's docstring shows the order of calls.

    `library`: the module it stands on, which is looked for to see whether it is installed. `extra`: of distilzoo, what
    brings it ("" for the base package). `devices`: the kinds it runs on, the one that is taken unless another is asked
    for first. `graphs`: of a bundle, those that it can run. `executions`: arithmetic of its own, and the graph that it
    executes so. `usual`: the precisions that make sense on a kind of device, which `zoo bench` measures where none is
    asked for. `replays`: whether it captures launches in a CUDA graph and replays them; `when asked` takes the keyword
    `cuda_graph: bool`. `takes`: callers at once; those of `one` are made to wait for each other. `in_libzoo`: libzoo
    has a backend of this name too. `builder`: what it runs has to be built first; the class then takes the keyword
    `built: tuple[Path, Sidecar] | None`, folder and sidecar of an engine that is not yet in its place.
    """

    library: ClassVar[str]
    extra: ClassVar[str] = ""
    devices: ClassVar[tuple[Device, ...]] = ("cpu",)
    graphs: ClassVar[tuple[Precision, ...]] = GRAPHS
    executions: ClassVar[Mapping[Executed, Precision]] = MappingProxyType({})
    # fp16 on a CPU is converted to fp32 and back by most libraries.
    usual: ClassVar[Mapping[Device, tuple[Executed, ...]]] = MappingProxyType(
        {"cpu": ("fp32", "int8"), "cuda": ("fp32", "fp16")}
    )
    replays: ClassVar[Literal["never", "when asked", "always"]] = "never"
    takes: ClassVar[Literal["one", "many"]] = "many"
    in_libzoo: ClassVar[bool] = False
    builder: ClassVar[Builder | None] = None

    def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None) -> None: ...

    @classmethod
    def missing(cls) -> EnvironmentProblem:
        """The error to raise where the library is not installed."""
        return missing_package(cls.library, cls.extra, f"the {cls.name} backend")


@runtime_checkable
class Timed(Protocol):
    """An engine that knows what its device alone takes. Which engine does may depend on the device it was opened on."""

    def compute_seconds(self, images: Pixels, times: int, before: Callable[[], object] | None = None) -> list[float]:
        """The device's time for each of so many runs on these images, copies apart: the scope `compute`.

        `before` is called ahead of each run, when the device is idle, outside the time and with nothing in between;
        `InputError` where the library does not allow that.
        """
        ...


@runtime_checkable
class Profiled(Protocol):
    """An engine whose library can say what every layer takes."""

    def layer_times(self, images: Pixels, times: int) -> list[LayerTime]:
        """The median time of each layer over so many runs, in a copy of the engine that profiles: profiling costs time,
        so that it never happens in the engine that others call, and its sum is more than a call takes.
        """
        ...


@runtime_checkable
class Replayable(Protocol):
    """An engine that says whether it replays a CUDA graph."""

    cuda_graph: bool


@runtime_checkable
class Closable(Protocol):
    """An engine that can give its memory on the device back before Python forgets it."""

    def close(self) -> None:
        """Give it back now. The engine cannot be used afterwards."""
        ...


def in_batches(run: Callable[[Pixels], Logits], images: Pixels, most: int) -> Logits:
    """The logits of an engine that takes at most so many images at a time."""
    parts = [run(images[start : start + most]) for start in range(0, len(images), most)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
