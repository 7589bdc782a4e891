"""The loop: warm-up, then rounds of calls until a stop rule says that it is enough.

A round is the unit of evidence. Calls inside a round follow each other within milliseconds and share its
noise regime, so that they are not independent; the interval that decides is that of the median of the rounds' medians.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import Protocol

from bench.clock import Clock, Elapsed, Timer, believable
from bench.inputs import Batch
from bench.measure.stop import Criterion
from bench.measure.warm import USUAL, WarmUp, warm
from bench.results import Timing
from bench.stats import median
from zoo.errors import EnvironmentProblem

# Below 10 ms a round is shorter than one time slice of the scheduler, and one interruption would be all of it.
ROUND_NS = 10_000_000
# One jump of the clock is an accident. From the third on, more than one round in ten says that the clock is no clock.
FORGIVEN, FORGIVEN_SHARE = 2, 0.1


class Watch(Protocol):
    """Looks at the device between the rounds, when nothing is timed."""

    def steady(self) -> bool:
        """Whether its clock has settled."""
        ...

    def start(self) -> None:
        """The rounds begin: what was seen before was the warm-up."""
        ...

    def look(self) -> None:
        """Note its state."""
        ...


def measure(
    timer: Timer,
    inputs: Sequence[Batch],
    *,
    criteria: Sequence[Criterion],
    warm_up: WarmUp = USUAL,
    clock: Clock = time.perf_counter_ns,
    whole: bool = False,
    watch: Watch | None = None,
) -> Timing:
    """Take the times of calls on `inputs` (uint8 [batch, H, W, 3] each, or other batches) until one criterion is met.

    `whole`: a round goes through all inputs, because some of them take longer than others. `EnvironmentProblem` when
    the clock cannot be trusted; a few rounds in which it jumped are thrown away and counted.
    """
    feed = cycle(inputs)
    with no_collection():
        warmed = warm(timer, feed, warm_up, clock, None if watch is None else watch.steady)
        usual = median([one for one in warmed if one > 0] or [0])
        if not usual:
            raise EnvironmentProblem("the clock stands still or runs backwards: nothing can be timed by it")
        per_round = max(1, math.ceil(ROUND_NS / usual))
        if whole:
            per_round, feed = math.ceil(per_round / len(inputs)) * len(inputs), cycle(inputs)
        rounds: list[list[int]] = []
        medians: list[float] = []
        thrown = 0
        if watch is not None:
            watch.start()
        elapsed = Elapsed(clock)
        while True:
            times = timer(feed, per_round)
            if watch is not None:
                watch.look()
            if not believable(times, usual):
                thrown += 1
                if thrown > FORGIVEN and thrown > FORGIVEN_SHARE * (thrown + len(rounds)):
                    raise EnvironmentProblem(f"the clock jumped in {thrown} of {thrown + len(rounds)} rounds")
                elapsed.skip()
                continue
            rounds.append(times)
            medians.append(median(times))
            seconds = elapsed.seconds()
            stop = next((criterion.reason for criterion in criteria if criterion.met(medians, seconds)), None)
            if stop is not None:
                batch = len(inputs[0])
                return Timing.of(rounds, batch=batch, stop=stop, warmup_calls=len(warmed), thrown_away=thrown)


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector runs before the measurement and not inside it."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
