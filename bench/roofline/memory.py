"""The highest rate of reading and writing memory, from the caches near the cores out to main memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from bench.evidence import Bandwidth

CACHES = Path("/sys/devices/system/cpu")
UNKNOWN_CACHE = 64 * 2**20  # bytes; where the system does not say: more than most
SMALLEST_SET = 256 * 2**10  # bytes: below, everything is near its core, and reading it is a part of computing
MAIN_MEMORY = 256 * 2**20  # bytes, at least: STREAM's rule is four times the last cache
SHARE_OF_MEMORY = 8  # of what is free, one part may be taken
TRAFFIC = 256 * 2**20  # bytes in one measurement: 3 ms in a cache, 10 ms in main memory
ROUNDS = 8
Floats = npt.NDArray[np.float32]


def last_cache() -> int:
    """Bytes of the last caches of all cores that this process may use, together."""
    found: dict[tuple[int, str], int] = {}
    for cpu in os.sched_getaffinity(0):
        for index in sorted((CACHES / f"cpu{cpu}" / "cache").glob("index*")):
            try:
                level, shared = (int((index / "level").read_text()), (index / "shared_cpu_list").read_text().strip())
                found[level, shared] = int((index / "size").read_text().strip().removesuffix("K")) * 1024
            except (OSError, ValueError):
                continue
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last) or UNKNOWN_CACHE


def working_sets(cache: int, free: int) -> list[tuple[int | None, int]]:
    """(what `Bandwidth.working_set` says, bytes): doubling from 256 KiB to twice the last cache, then main memory."""
    sets: list[tuple[int | None, int]] = []
    size = SMALLEST_SET
    while size <= 2 * cache:
        sets.append((size, size))
        size *= 2
    return [*sets, (None, min(max(4 * cache, MAIN_MEMORY), free // SHARE_OF_MEMORY))]


def bandwidths(
    threads: Sequence[int], sets: Sequence[tuple[int | None, int]], advance: Callable[[], None]
) -> list[Bandwidth]:
    """For each number of threads the best rate of each working set; `advance` is called once for each of these."""
    found: list[Bandwidth] = []
    for count in threads:
        for name, size in sets:
            advance()
            rate, way = max((_rate(way, size, count), title) for title, way in WAYS.items())
            found.append(
                Bandwidth(device="cpu", threads=count, bytes_per_second=rate, working_set=name, by=f"numpy, {way}")
            )
    return found


def _reading(size: int, times: int) -> Callable[[], object]:
    """Read `size` bytes, `times` times; the loop runs inside the library, because a small set takes microseconds."""
    numbers = np.ones(size // 4, np.float32)  # written once: memory that never was is one page of zeros
    rows, largest = _again(numbers, times), np.empty(times, np.float32)
    return lambda: np.maximum.reduce(rows, axis=1, out=largest)


def _scaling(size: int, times: int) -> Callable[[], object]:
    """Read one half of `size` bytes and write the other."""
    source, target = np.ones(size // 8, np.float32), np.ones(size // 8, np.float32)
    rows, out = _again(source, times), _again(target, times)
    return lambda: np.negative(rows, out=out)


WAYS: dict[str, Callable[[int, int], Callable[[], object]]] = {"reading": _reading, "reading and writing": _scaling}


def _again(numbers: Floats, times: int) -> Floats:
    """The same numbers as the rows of a matrix."""
    return as_strided(numbers, (times, len(numbers)), (0, numbers.itemsize))


def _rate(way: Callable[[int, int], Callable[[], object]], size: int, threads: int) -> float:
    """Bytes a second when `threads` threads each have their part of `size` bytes to themselves."""
    part = size // threads // 8 * 8
    times = max(1, TRAFFIC // size)
    barrier = threading.Barrier(threads)

    def worker(_: int) -> list[tuple[float, float]]:
        spans = []
        try:
            once = way(part, times)  # in the thread: its first touch decides where the memory lies
            for _ in range(ROUNDS):
                barrier.wait()
                began = time.perf_counter()
                once()
                spans.append((began, time.perf_counter()))
        except MemoryError:
            barrier.abort()  # the others must not wait for this one
            raise
        return spans

    with ThreadPoolExecutor(threads) as pool:
        rounds = zip(*pool.map(worker, range(threads)), strict=True)
    fastest = min(max(end for _, end in spans) - min(begin for begin, _ in spans) for spans in rounds)
    return part * threads * times / fastest
