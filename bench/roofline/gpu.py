"""The ceilings of a GPU, by torch: matrix products, copies, the launch of a kernel.

cuBLAS is what torch's and ONNX Runtime's products go through, and TensorRT's own kernels are held to the same silicon.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bench.evidence import Bandwidth, Rate
from zoo.errors import EnvironmentProblem, need

SIDES: Final = (2048, 4096, 8192)  # of the matrices: the largest fill every GPU, on a small one the others cache better
PRECISIONS: Final = ("fp32", "tf32", "fp16", "bf16", "int8")
ROUNDS = 10
CALLS = 5  # between two events, so that the queue is never empty
MAIN_MEMORY = 2**30  # bytes
LAUNCHES = 1000


@dataclass(frozen=True)
class GpuCeilings:
    """What one GPU reached."""

    name: str
    rates: list[Rate]
    bandwidths: list[Bandwidth]
    launch_us: float


def gpu_ceilings(advance: Callable[[], None], *, sides: Sequence[int] = SIDES) -> GpuCeilings:
    """Measure the GPU that torch calls the first; `advance` is called `steps(sides)` times.

    `EnvironmentProblem` when torch is not installed or sees no GPU.
    """
    need("torch", extra="train", purpose="measuring a GPU's ceilings")
    import torch

    if not torch.cuda.is_available():
        raise EnvironmentProblem("torch sees no CUDA GPU here: zoo bench roofline --device cpu")
    with torch.inference_mode():
        rates = list(_rates(torch, sides, advance))
        bandwidths = list(_bandwidths(torch, advance))
        advance()
        return GpuCeilings(torch.cuda.get_device_name(0), rates, bandwidths, _launch_us(torch))


def steps(sides: Sequence[int] = SIDES) -> int:
    """How often `advance` is called: for each product, two working sets, and the launch."""
    return len(PRECISIONS) * len(sides) + 3


def _rates(torch: Any, sides: Sequence[int], advance: Callable[[], None]) -> Iterator[Rate]:
    for precision in PRECISIONS:
        reached = []
        for side in sides:
            advance()
            with _arithmetic(torch, precision):
                seconds = _fastest(torch, _product(torch, precision, side))
            if seconds is not None:
                reached.append((2 * side**3 / seconds, f"torch, matrix product {side} x {side} x {side}"))
        if reached:
            rate, by = max(reached)
            yield Rate(device="cuda", precision=precision, threads=1, flops_per_second=rate, by=by)


@contextmanager
def _arithmetic(torch: Any, precision: str) -> Iterator[None]:
    """torch's settings for the fastest that cuBLAS does in this precision, and not in another.

    fp16 may be summed up in fp16: some GPUs are twice as fast then, and an engine may do it.
    """
    matmul = torch.backends.cuda.matmul
    before = torch.get_float32_matmul_precision(), matmul.allow_fp16_accumulation
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    matmul.allow_fp16_accumulation = precision == "fp16"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        matmul.allow_fp16_accumulation = before[1]


def _product(torch: Any, precision: str, side: int) -> Callable[[], object]:
    if precision == "int8":
        left = torch.randint(-128, 128, (side, side), dtype=torch.int8, device="cuda")
        right = torch.randint(-128, 128, (side, side), dtype=torch.int8, device="cuda").t()
        return lambda: torch._int_mm(left, right)  # torch has no public product of integers on CUDA
    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision, torch.float32)
    a = torch.randn(side, side, dtype=kind, device="cuda")
    b = torch.randn(side, side, dtype=kind, device="cuda")
    out = torch.empty_like(a)
    return lambda: torch.mm(a, b, out=out)


def _fastest(torch: Any, once: Callable[[], object]) -> float | None:
    """Seconds of one call by the GPU's own clock, the best of some rounds; None where the GPU cannot do it."""
    try:
        once()
        torch.cuda.synchronize()
    except RuntimeError:  # no kernel for this arithmetic on this GPU, or no memory for this size
        return None
    best = math.inf
    for _ in range(ROUNDS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(CALLS):
            once()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3 / CALLS)
    return best


def _bandwidths(torch: Any, advance: Callable[[], None]) -> Iterator[Bandwidth]:
    """Copies inside the GPU, each byte read once and written once.

    Sets that fit in its cache are left out: copying one takes no longer than launching the kernel, so that a rate would
    be too low for a ceiling. What is smaller than the smallest set here has no floor from memory.
    """
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    for name, size in ((2 * cache, 2 * cache), (None, max(MAIN_MEMORY, 8 * cache))):
        advance()
        source = torch.ones(size // 8, dtype=torch.float32, device="cuda")
        target = torch.empty_like(source)
        seconds = _fastest(torch, partial(target.copy_, source))
        if seconds is not None:
            rate = 2 * source.nbytes / seconds
            yield Bandwidth(device="cuda", threads=1, bytes_per_second=rate, working_set=name, by="torch, copy")


def _launch_us(torch: Any) -> float:
    """Microseconds from one kernel to the next when there is nothing to compute, launched by a CUDA graph."""
    number = torch.zeros(1, device="cuda")
    number.add_(1)  # loads the kernel, which a capture must not do
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        number.add_(1)
    return 1e6 * min(_back_to_back(torch, once) for once in (graph.replay, lambda: number.add_(1)) for _ in range(3))


def _back_to_back(torch: Any, once: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(LAUNCHES):
        once()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / LAUNCHES
