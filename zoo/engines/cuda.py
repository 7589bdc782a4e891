"""The few CUDA calls that an engine needs, through NVIDIA's own Python bindings: no torch in an app.

`cuda-bindings` carries the CUDA runtime inside, so that no library has to be found on the disk.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from contextlib import ExitStack
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


def event_seconds(
    stream: Any, launch: Callable[[], object], times: int, before: Callable[[], object] | None = None
) -> list[float]:
    """GPU time of each of `times` launches on `stream`, by CUDA's events.

    `before` is called ahead of each, when the stream is idle, and is not timed.
    """
    cudart, seconds = cuda_runtime(), []
    with ExitStack() as stack:
        start, end = done(cudart.cudaEventCreate()), done(cudart.cudaEventCreate())
        stack.callback(cudart.cudaEventDestroy, start)
        stack.callback(cudart.cudaEventDestroy, end)
        for _ in range(times):
            if before is not None:
                done(cudart.cudaStreamSynchronize(stream))  # the first time, an upload may be under way
                before()
            done(cudart.cudaEventRecord(start, stream))
            launch()
            done(cudart.cudaEventRecord(end, stream))
            done(cudart.cudaStreamSynchronize(stream))
            seconds.append(float(done(cudart.cudaEventElapsedTime(start, end))) / 1e3)
    return seconds


class Buffer:
    """The same number of bytes on the GPU (`device`, an address) and in page-locked host memory (`host`, an array).

    Copies from page-locked memory need no staging, and addresses that stay may be part of a CUDA graph.
    """

    def __init__(self, shape: tuple[int, ...], dtype: type[np.generic], stack: ExitStack) -> None:
        """`stack` frees both when it is closed; `host` must not be touched afterwards."""
        self._cudart = cuda_runtime()
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self._row = size // shape[0]
        self.device = int(done(self._cudart.cudaMalloc(size)))
        stack.callback(self._cudart.cudaFree, self.device)
        self._pinned = int(done(self._cudart.cudaMallocHost(size)))
        stack.callback(self._cudart.cudaFreeHost, self._pinned)
        memory = (ctypes.c_uint8 * size).from_address(self._pinned)
        self.host: npt.NDArray[Any] = np.frombuffer(memoryview(memory), dtype=dtype).reshape(shape)

    def upload(self, rows: int, stream: Any) -> None:
        """Queue the copy of the first `rows` to the GPU."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        done(self._cudart.cudaMemcpyAsync(self.device, self._pinned, rows * self._row, kind, stream))

    def download(self, rows: int, stream: Any) -> None:
        """Queue the copy of the first `rows` from the GPU."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        done(self._cudart.cudaMemcpyAsync(self._pinned, self.device, rows * self._row, kind, stream))
