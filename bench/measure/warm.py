"""Warm-up: calls whose time is thrown away, until they take what they will go on taking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.clock import Clock, Elapsed, Timer
from bench.inputs import Batch
from bench.stats import median

# Six windows are the fewest whose order says something: without a trend, |S| of Mann and Kendall's test is 11 or more
# in 40 of their 720 orders (5.6 %). Such a false alarm costs one more window.
WINDOWS = 6
TREND = 11
# A third of the interval that a measurement aims at (3 %): a smaller drift does not show in the result.
NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class WarmUp:
    """How long: memory arenas grow, weights are packed, the clock of the processor rises."""

    calls: int = 5  # arenas and lazily packed weights have settled after the second or third
    seconds: float = 0.2  # trtexec's figure; frequency governors react within some tens of milliseconds
    limit: float = 2.0  # a network that needs seconds for one call is warm after it

    def enough(self, calls: int, seconds: float) -> bool:
        """Whether `calls` calls in `seconds` are the least that it takes."""
        if self.over(seconds):
            return calls >= 1
        return calls >= self.calls and seconds >= self.seconds

    def over(self, seconds: float) -> bool:
        """Whether it must end, warm or not."""
        return seconds >= self.limit


USUAL = WarmUp()


def stationary(medians: Sequence[float]) -> bool:
    """Whether the latest `WINDOWS` medians, one for each window of time, show no trend that matters.

    A trend is an order that chance rarely makes (Mann 1945, Kendall 1975; no distribution is assumed). Calls get faster
    while something warms up, and slower while a turbo runs out: both count.
    """
    latest = medians[-WINDOWS:]
    if len(latest) < WINDOWS:
        return False
    score = sum((later > earlier) - (later < earlier) for earlier, later in combinations(latest, 2))
    return abs(score) < TREND or abs(latest[-1] - latest[0]) <= NEGLIGIBLE * latest[0]


def warm(
    timer: Timer, feed: Iterator[Batch], rule: WarmUp, clock: Clock, steady: Callable[[], bool] | None = None
) -> list[int]:
    """Call until `rule` is met and the times are stationary, at most `rule.limit` seconds; the times in nanoseconds.

    `steady` is asked after each window: whether what the timer cannot see, as a GPU's clock, has settled too.
    """
    times: list[int] = []
    window: list[int] = []
    medians: list[float] = []
    elapsed = Elapsed(clock)
    began = seconds = 0.0
    done = False
    while not (rule.enough(len(times), seconds) and (done or rule.over(seconds))):
        window += timer(feed, 1)
        times.append(window[-1])
        seconds = elapsed.seconds()
        if seconds - began >= rule.seconds / WINDOWS:
            medians.append(median(window))
            settled = steady is None or steady()
            done = settled and stationary(medians)
            window, began = [], seconds
    return times
