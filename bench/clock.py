"""Two ways to say how long a call took: by the host's clock, or by the device's own.

Also what makes a time unbelievable. Clocks do jump: a virtual machine is moved, a laptop sleeps, a driver answers NaN.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.inputs import Batch

Call = Callable[[Any], object]
Clock = Callable[[], int]  # nanoseconds, monotonic
Compute = Callable[..., Sequence[float]]  # (images, times) -> the device's seconds for each of so many runs
Timer = Callable[[Iterator[Batch], int], list[int]]  # (what is fed, calls) -> nanoseconds of each call

# An engine's call may be interrupted, but not for a second and a thousand times as long as usual: that long, it was not
# the call that took the time.
JUMP_NS = 1_000_000_000
JUMP_FACTOR = 1000


def on_host(call: Call, clock: Clock = time.perf_counter_ns, *, before: Callable[[], object] | None = None) -> Timer:
    """Times `call` from outside; what `before` does ahead of each call is not timed."""

    def timer(feed: Iterator[Batch], calls: int) -> list[int]:
        times = [0] * calls
        for i in range(calls):
            images = next(feed)
            if before is not None:
                before()
            start = clock()
            call(images)
            times[i] = clock() - start
        return times

    return timer


def on_device(compute: Compute, *, before: Callable[[], object] | None = None) -> Timer:
    """What the device says by itself. A round's calls all answer the same images, which are uploaded once; `before` is
    handed on to `compute`, which calls it ahead of each run.
    """
    more = {} if before is None else {"before": before}

    def timer(feed: Iterator[Batch], calls: int) -> list[int]:
        return [_nanoseconds(seconds) for seconds in compute(next(feed), calls, **more)]

    return timer


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9) if math.isfinite(seconds) else -1  # no number is like a clock that went back


def believable(times: Sequence[int], usual: float) -> bool:
    """Whether these can be times of calls that `usual`ly take so many nanoseconds."""
    return all(0 < one <= max(JUMP_NS, JUMP_FACTOR * usual) for one in times)


class Elapsed:
    """Seconds since it was made, by a clock that may jump: a step back counts as no time at all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock()
        self._sum = 0

    def seconds(self) -> float:
        """Up to now."""
        now = self._clock()
        self._sum += max(0, now - self._last)
        self._last = now
        return self._sum / 1e9

    def skip(self) -> None:
        """Do not count the time since the last look."""
        self._last = self._clock()
