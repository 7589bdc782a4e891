"""A stand-in for `cuda.bindings.runtime` in host memory: streams are queues that run when synchronised.

So a forgotten synchronisation, a copy from freed memory or a graph that is replayed after its context is gone shows.
"""

from __future__ import annotations

import ctypes
import enum
import itertools
import math
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class Gpu:
    """One fake GPU. `log` names what was freed, in order."""

    def __init__(
        self, name: str = "NVIDIA Test GPU", capability: tuple[int, int] = (9, 0), driver: int = 13000
    ) -> None:
        self.name, self.capability, self.driver = name, capability, driver
        self.memory: dict[int, Any] = {}
        self.streams: dict[int, Stream] = {}
        self.log: list[str] = []
        self.captures = 0
        self.count = 1  # GPUs of this kind
        self.current = 0
        self.fail: set[str] = set()  # calls that report an error

    def used(self) -> int:
        """Bytes that are not given back."""
        return sum(len(block) for block in self.memory.values())

    def at(self, address: int, size: int) -> None:
        """Fails when that memory is not there."""
        assert any(start <= address and address + size <= start + len(block) for start, block in self.memory.items())

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """What lies there."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        self.at(address, size)
        return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


class Stream:
    """Work that waits for a synchronisation."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.queue: list[Callable[[], None]] = []
        self.captured: list[Callable[[], None]] | None = None

    def __int__(self) -> int:
        return self.handle

    def add(self, work: Callable[[], None]) -> None:
        (self.queue if self.captured is None else self.captured).append(work)


def make(gpu: Gpu) -> ModuleType:
    """The module, for `sys.modules`."""
    cuda = ModuleType("cuda.bindings.runtime")
    numbers = itertools.count(1)

    statuses = enum.IntEnum("cudaError_t", {"cudaSuccess": 0, "cudaErrorMemoryAllocation": 2})
    kinds = enum.IntEnum("cudaMemcpyKind", {"cudaMemcpyHostToDevice": 1, "cudaMemcpyDeviceToHost": 2})
    modes = enum.IntEnum("cudaStreamCaptureMode", {"cudaStreamCaptureModeThreadLocal": 1})

    def call(function: Callable[..., Any]) -> None:
        def wrapped(*arguments: Any) -> tuple[Any, ...]:
            if function.__name__ in gpu.fail:
                return statuses.cudaErrorMemoryAllocation, None
            value = function(*arguments)
            return (statuses.cudaSuccess,) if value is None else (statuses.cudaSuccess, value)

        setattr(cuda, function.__name__, wrapped)

    def allocate(size: int) -> int:
        block = (ctypes.c_uint8 * size)()
        gpu.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def free(address: int) -> None:
        del gpu.memory[address]
        gpu.log.append("memory")

    @call
    def cudaGetDeviceProperties(device: int) -> Any:  # noqa: N802
        assert device < gpu.count
        return SimpleNamespace(name=gpu.name.encode(), major=gpu.capability[0], minor=gpu.capability[1])

    @call
    def cudaGetDeviceCount() -> int:  # noqa: N802
        return gpu.count

    @call
    def cudaSetDevice(device: int) -> None:  # noqa: N802
        assert device < gpu.count
        gpu.current = device

    @call
    def cudaDriverGetVersion() -> int:  # noqa: N802
        return gpu.driver

    @call
    def cudaMalloc(size: int) -> int:  # noqa: N802
        return allocate(size)

    @call
    def cudaMallocHost(size: int) -> int:  # noqa: N802
        return allocate(size)

    @call
    def cudaFree(address: int) -> None:  # noqa: N802
        free(address)

    @call
    def cudaFreeHost(address: int) -> None:  # noqa: N802
        free(address)

    @call
    def cudaMemcpyAsync(target: int, source: int, size: int, kind: int, stream: Stream) -> None:  # noqa: N802
        assert kind in (1, 2)

        def copy() -> None:
            gpu.at(target, size)
            gpu.at(source, size)
            ctypes.memmove(target, source, size)

        stream.add(copy)

    @call
    def cudaStreamCreateWithFlags(flags: int) -> Stream:  # noqa: N802
        assert flags == 1
        stream = Stream(next(numbers))
        gpu.streams[stream.handle] = stream
        return stream

    @call
    def cudaStreamSynchronize(stream: Stream) -> None:  # noqa: N802
        assert stream.captured is None
        while stream.queue:
            stream.queue.pop(0)()

    @call
    def cudaStreamDestroy(stream: Stream) -> None:  # noqa: N802
        assert not stream.queue
        del gpu.streams[stream.handle]
        gpu.log.append("stream")

    @call
    def cudaStreamBeginCapture(stream: Stream, mode: int) -> None:  # noqa: N802
        assert mode == modes.cudaStreamCaptureModeThreadLocal
        assert not stream.queue  # lazy work of the first call has to be over
        stream.captured = []

    @call
    def cudaStreamEndCapture(stream: Stream) -> Any:  # noqa: N802
        work, stream.captured = stream.captured, None
        gpu.captures += 1
        return SimpleNamespace(work=work)

    @call
    def cudaGraphInstantiate(graph: Any, flags: int) -> Any:  # noqa: N802
        return SimpleNamespace(work=list(graph.work))

    @call
    def cudaGraphLaunch(graph: Any, stream: Stream) -> None:  # noqa: N802
        for work in graph.work:
            stream.add(work)

    @call
    def cudaGraphDestroy(graph: Any) -> None:  # noqa: N802
        graph.work = None

    @call
    def cudaGraphExecDestroy(graph: Any) -> None:  # noqa: N802
        graph.work = None
        gpu.log.append("graph")

    @call
    def cudaEventCreate() -> Any:  # noqa: N802
        return SimpleNamespace(at=None)

    @call
    def cudaEventRecord(event: Any, stream: Stream) -> None:  # noqa: N802
        stream.add(lambda: setattr(event, "at", next(numbers)))

    @call
    def cudaEventElapsedTime(start: Any, end: Any) -> float:  # noqa: N802
        return float(end.at - start.at)

    @call
    def cudaEventDestroy(event: Any) -> None:  # noqa: N802
        event.at = None

    cuda.cudaGetErrorString = lambda status: (0, b"out of memory")
    cuda.cudaMemcpyKind, cuda.cudaStreamCaptureMode, cuda.cudaStreamNonBlocking = kinds, modes, 1
    return cuda
