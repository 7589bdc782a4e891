"""What a backend is, and how one is chosen by name.

A backend is one small class in a file of its own. It takes a graph file and says afterwards what really runs: a
device, precision or thread count that was asked for and is not used is an error, never a silent fallback.

What a backend MAY have besides, for those who measure it: `compute_seconds(images, times) -> list[float]`, the device's
own time for each of so many runs, copies apart (zoo/engines/tensorrt/backend.py), with the keyword `before` if
something may happen ahead of each run, outside its time and with nothing in between; `layer_times(images, times)`, the
time of every layer (zoo/engines/layers.py). One that replays a CUDA graph takes the keyword `cuda_graph`, or has
`cuda_graph = True`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, nearest

BACKENDS = {
    "onnxruntime": "zoo.engines.onnxruntime.backend:OnnxRuntime",
    "openvino": "zoo.engines.openvino:OpenVino",
    "tensorrt": "zoo.engines.tensorrt.backend:TensorRt",
    "aotinductor": "zoo.engines.torch.aotinductor:AotInductor",
    "aotinductor-fused": "zoo.engines.torch.aotinductor:AotInductorFused",
    "onnxruntime-winograd": "zoo.engines.onnxruntime.winograd:OnnxRuntimeWinograd",
}
# Run what `zoo build` has made of a graph, for one kind of machine.
BUILT = frozenset({"tensorrt", "aotinductor", "aotinductor-fused", "onnxruntime-winograd"})
RUNTIMES = tuple(name for name in BACKENDS if name not in BUILT)  # run any graph as it is
# Of the backends that have no other.
DEVICES = {"tensorrt": "cuda", "aotinductor-fused": "cuda", "onnxruntime-winograd": "cpu"}

# The module that a backend stands on, where it is not called like the backend itself.
LIBRARIES = {"aotinductor": "torch", "aotinductor-fused": "torch", "onnxruntime-winograd": "onnxruntime"}


class Backend(Protocol):
    """A loaded graph that runs. Immutable; `run` may be called from several threads at once."""

    name: str
    device: str
    threads: int

    def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None) -> None: ...

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        ...

    def versions(self) -> dict[str, Any]:
        """Name and version of the library, and what it reports about itself."""
        ...


def in_batches(
    answer: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]], images: npt.NDArray[np.uint8], most: int
) -> npt.NDArray[np.float32]:
    """The answers of an engine that takes at most so many images at a time."""
    parts = [answer(images[start : start + most]) for start in range(0, len(images), most)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def installed(name: str) -> bool:
    """Whether the library of a backend is installed; it is not imported."""
    return importlib.util.find_spec(LIBRARIES.get(name, name)) is not None


def backend_class(name: str) -> type[Backend]:
    """The class of a backend by its name; its library is imported when it is constructed."""
    if name not in BACKENDS:
        raise InputError(f"no backend called '{name}'; there are: {', '.join(BACKENDS)}{nearest(name, BACKENDS)}")
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Backend] = getattr(importlib.import_module(module), attribute)
    return found


def replaying(kind: type[Backend]) -> dict[str, bool]:
    """What makes a backend record its launches once and replay them. `InputError` for one that cannot."""
    if getattr(kind, "cuda_graph", False):
        return {}
    if "cuda_graph" not in inspect.signature(kind).parameters:
        raise InputError(f"{kind.name} does not replay a CUDA graph: leave it out")
    return {"cuda_graph": True}
