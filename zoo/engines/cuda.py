"""The few CUDA calls that an engine needs, through NVIDIA's own Python bindings: no torch in an app.

`cuda-bindings` carries the CUDA runtime inside, so that no library has to be found on the disk.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.bundle.sidecar import Processor
from zoo.errors import EnvironmentProblem, missing_package


def cuda_runtime() -> Any:
    """The module `cuda.bindings.runtime`."""
    try:
        from cuda.bindings import runtime
    except ImportError:
        raise missing_package("cuda-bindings", "cuda", "a backend on device 'cuda'") from None
    return runtime


def done(result: tuple[Any, ...]) -> Any:
    """The value of a CUDA call, or all of them, if there are several. `EnvironmentProblem` when CUDA says no."""
    status, *values = result
    if status != 0:
        _, words = cuda_runtime().cudaGetErrorString(status)
        raise EnvironmentProblem(f"CUDA: {words.decode() if isinstance(words, bytes) else words}")
    return values[0] if len(values) == 1 else tuple(values)


def gpu_number(device: str) -> int | None:
    """CUDA's number of a device that is called `cuda` (the first) or `cuda:1`; None for any other."""
    found = re.fullmatch(r"cuda(?::(\d+))?", device)
    return None if found is None else int(found[1] or 0)


def this_gpu(number: int = 0) -> Processor:
    """The GPU that CUDA gives this number. `EnvironmentProblem` when it is not there, or there is no driver for it."""
    cudart = cuda_runtime()
    count = done(cudart.cudaGetDeviceCount())
    if number >= count:
        raise EnvironmentProblem(f"there is no device 'cuda:{number}': CUDA counts {count} from cuda:0 on")
    about = done(cudart.cudaGetDeviceProperties(number))
    version = done(cudart.cudaDriverGetVersion())
    name = about.name.decode() if isinstance(about.name, bytes) else str(about.name)
    return Processor(
        name=name.rstrip("\0"),
        kind=f"{about.major}.{about.minor}",
        driver=f"{version // 1000}.{version % 1000 // 10}",
    )


class CudaStream:
    """A stream of its own on one GPU, as `zoo.engines.cuda_lane.Stream`."""

    def __init__(self, number: int, stack: ExitStack) -> None:
        """`number`: CUDA's of the GPU. `stack` destroys the stream."""
        self._cudart, self._number = cuda_runtime(), number
        done(self._cudart.cudaSetDevice(number))
        self.handle = done(self._cudart.cudaStreamCreateWithFlags(self._cudart.cudaStreamNonBlocking))
        stack.callback(self._cudart.cudaStreamDestroy, self.handle)

    def current(self) -> AbstractContextManager[object]:
        """The calling thread works on this GPU, which is a setting of each thread."""
        done(self._cudart.cudaSetDevice(self._number))
        return nullcontext()

    def synchronize(self) -> None:
        """Wait until everything that was queued is done."""
        done(self._cudart.cudaStreamSynchronize(self.handle))

    def event(self, stack: ExitStack) -> CudaEvent:
        """A new mark, which `stack` frees."""
        return CudaEvent(self.handle, stack)

    def capture(self, launch: Callable[[], object], stack: ExitStack) -> Callable[[], object]:
        """What `launch` queues, as a CUDA graph: the function that replays it."""
        cudart = self._cudart
        with ExitStack() as temporary:
            mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
            done(cudart.cudaStreamBeginCapture(self.handle, mode))
            try:
                launch()
            finally:
                captured = done(cudart.cudaStreamEndCapture(self.handle))
                temporary.callback(cudart.cudaGraphDestroy, captured)
            graph = done(cudart.cudaGraphInstantiate(captured, 0))
        stack.callback(cudart.cudaGraphExecDestroy, graph)
        return lambda: done(cudart.cudaGraphLaunch(graph, self.handle))


class CudaEvent:
    """A mark in a stream."""

    def __init__(self, stream: Any, stack: ExitStack) -> None:
        self._cudart, self._stream = cuda_runtime(), stream
        self._event = done(self._cudart.cudaEventCreate())
        stack.callback(self._cudart.cudaEventDestroy, self._event)

    def record(self) -> None:
        """Queue the mark."""
        done(self._cudart.cudaEventRecord(self._event, self._stream))

    def seconds_to(self, end: CudaEvent) -> float:
        """The time between two marks that were reached."""
        return float(done(self._cudart.cudaEventElapsedTime(self._event, end._event))) / 1e3


class CudaBuffer:
    """The same number of bytes on the GPU (`device`, an address) and in page-locked host memory (`host`, an array)."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic], stream: CudaStream, stack: ExitStack) -> None:
        """`stack` frees both when it is closed; `host` must not be touched afterwards."""
        self._cudart, self._stream = cuda_runtime(), stream.handle
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._row = size // shape[0]
        self.device = int(done(self._cudart.cudaMalloc(size)))
        stack.callback(self._cudart.cudaFree, self.device)
        self._pinned = int(done(self._cudart.cudaMallocHost(size)))
        stack.callback(self._cudart.cudaFreeHost, self._pinned)
        memory = (ctypes.c_uint8 * size).from_address(self._pinned)
        self.host: npt.NDArray[Any] = np.frombuffer(memoryview(memory), dtype=dtype).reshape(shape)

    def upload(self, rows: int) -> None:
        """Queue the copy of the first `rows` to the GPU."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        done(self._cudart.cudaMemcpyAsync(self.device, self._pinned, rows * self._row, kind, self._stream))

    def download(self, rows: int) -> None:
        """Queue the copy of the first `rows` from the GPU."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        done(self._cudart.cudaMemcpyAsync(self._pinned, self.device, rows * self._row, kind, self._stream))
