"""Timing one function: warm-up, then rounds of calls until a stop rule says that it is enough.

A round is the unit of evidence. Calls inside a round follow each other within milliseconds and share the machine's
mood, so that they are not independent; the interval that decides is that of the median of the rounds' medians.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Protocol

import numpy as np

from bench.cases import Limits
from bench.results import StopReason, Timing
from bench.stats import median, median_interval
from zoo.images import Pixels

Batch = Sequence[Any] | Pixels  # what is fed in one call; its length is the batch size
Call = Callable[[Any], object]
Clock = Callable[[], int]  # nanoseconds, monotonic

# Below 10 ms a round is shorter than one time slice of the scheduler, and one interruption would be all of it.
ROUND_NS = 10_000_000
# Enough images that a branch predictor or a cache cannot learn them by heart, few enough to stay small in memory.
DISTINCT_BATCHES = 8
DISTINCT_BYTES = 64 * 2**20


@dataclass(frozen=True)
class WarmUp:
    """Calls whose time is thrown away: memory arenas grow, weights are packed, the clock of the CPU rises."""

    calls: int = 5  # arenas and lazily packed weights have settled after the second or third
    seconds: float = 0.2  # trtexec's figure; frequency governors react within some tens of milliseconds
    limit: float = 2.0  # a network that needs seconds for one call is warm after it

    def enough(self, calls: int, seconds: float) -> bool:
        """Whether `calls` calls in `seconds` will do."""
        if seconds >= self.limit:
            return calls >= 1
        return calls >= self.calls and seconds >= self.seconds


class Criterion(Protocol):
    """One reason to stop."""

    @property
    def reason(self) -> StopReason:
        """What the row will say."""
        ...

    def met(self, medians: Sequence[float], seconds: float) -> bool:
        """`medians`: of the rounds so far; `seconds`: since the first of them began."""
        ...


@dataclass(frozen=True)
class Converged:
    """The 95 % interval of p50 is not wider than `width` times p50."""

    width: float
    min_rounds: int
    # Machines have moods that last longer than a few rounds; nvbench too measures for half a second at least.
    min_seconds: float = 0.5
    reason: StopReason = "converged"

    def met(self, medians: Sequence[float], seconds: float) -> bool:
        """Never before `min_rounds` and `min_seconds`."""
        if len(medians) < self.min_rounds or seconds < self.min_seconds:
            return False
        interval = median_interval(medians)
        return interval is not None and interval[1] - interval[0] <= self.width * median(medians)


@dataclass(frozen=True)
class TimeLimit:
    """Time is up. Checked between rounds, so that at least one round is measured."""

    seconds: float
    reason: StopReason = "time limit"

    def met(self, medians: Sequence[float], seconds: float) -> bool:
        """Whether `seconds` have passed."""
        del medians
        return seconds >= self.seconds


def stop_rule(limits: Limits) -> list[Criterion]:
    """The criteria in the order in which they are asked; the first that is met gives the reason."""
    return [Converged(limits.interval_width, limits.min_rounds), TimeLimit(limits.seconds)]


def measure(
    call: Call,
    inputs: Sequence[Batch],
    *,
    criteria: Sequence[Criterion],
    warm_up: WarmUp = WarmUp(),
    clock: Clock = time.perf_counter_ns,
    whole: bool = False,
) -> Timing:
    """Time `call` on `inputs` (uint8 [batch, H, W, 3] each, or other batches) in turn, until one of `criteria` is met.

    `whole`: a round goes through all inputs, because some of them take longer than others.
    """
    feed = cycle(inputs)
    with _no_collection():
        warm = _warm(call, feed, warm_up, clock)
        per_round = max(1, math.ceil(ROUND_NS / max(1, median(warm))))
        if whole:
            per_round, feed = math.ceil(per_round / len(inputs)) * len(inputs), cycle(inputs)
        rounds: list[list[int]] = []
        medians: list[float] = []
        began = clock()
        while True:
            rounds.append(_round(call, feed, per_round, clock))
            medians.append(median(rounds[-1]))
            seconds = (clock() - began) / 1e9
            stop = next((criterion.reason for criterion in criteria if criterion.met(medians, seconds)), None)
            if stop is not None:
                return Timing.of(rounds, batch=len(inputs[0]), stop=stop, warmup_calls=len(warm))


def _warm(call: Call, feed: Iterator[Batch], warm_up: WarmUp, clock: Clock) -> list[int]:
    """The times of the warm-up's calls in nanoseconds: how long a call takes, roughly."""
    times: list[int] = []
    began = clock()
    while not warm_up.enough(len(times), (clock() - began) / 1e9):
        times += _round(call, feed, 1, clock)
    return times


def _round(call: Call, feed: Iterator[Batch], calls: int, clock: Clock) -> list[int]:
    times = [0] * calls
    for i in range(calls):
        images = next(feed)
        start = clock()
        call(images)
        times[i] = clock() - start
    return times


@contextmanager
def _no_collection() -> Iterator[None]:
    """Python's garbage collector runs before the measurement and not inside it."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def random_batches(batch: int, height: int, width: int, *, seed: int = 0) -> list[Pixels]:
    """Different uint8 [batch, height, width, 3] arrays that look like photographs to a network.

    Large soft shapes with fine noise over them: constant or white input would let some kernels (zeros, saturated
    activations) run at a speed that no photograph gets.
    """
    draw = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 3, height).round().astype(int), np.linspace(0, 3, width).round().astype(int)

    def one() -> Pixels:
        shapes = draw.integers(0, 256, (batch, 4, 4, 3), dtype=np.int16)[:, rows][:, :, columns]
        noise = draw.integers(-24, 25, (batch, height, width, 3), dtype=np.int16)
        return (shapes + noise).clip(0, 255).astype(np.uint8)

    return [one() for _ in range(max(1, min(DISTINCT_BATCHES, DISTINCT_BYTES // (batch * height * width * 3))))]
