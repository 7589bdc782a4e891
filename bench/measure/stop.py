"""When a measurement may stop: small rules, each with the reason that the row will give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.cases import Limits
from bench.results import StopReason
from bench.stats import deviation, mean, median, median_interval, spread

# Noise is looked at after every 8 rounds, and its last 8 values are compared: 64 rounds, as in nvbench's `stdrel`, from
# which the 5 % are too. It keeps 512 values and looks at every 16th: its samples are single launches, ours are rounds.
LOOKS, EVERY, SETTLED = 8, 8, 0.05


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
    # A noise regime of the machine lasts longer than a few rounds; nvbench too measures for half a second at least.
    min_seconds: float = 0.5
    reason: StopReason = "converged"

    def met(self, medians: Sequence[float], seconds: float) -> bool:
        """Never before `min_rounds` and `min_seconds`."""
        if len(medians) < self.min_rounds or seconds < self.min_seconds:
            return False
        interval = median_interval(medians)
        return interval is not None and interval[1] - interval[0] <= self.width * median(medians)


@dataclass(frozen=True)
class NoiseSettled:
    """The rounds scatter as they did 64 rounds ago, and at that scatter the time limit comes before convergence.

    The first half is nvbench's `stdrel` criterion (nvbench/detail/stdrel_criterion.cxx), with the interquartile range
    in place of the standard deviation, which one interruption would decide. The second half keeps it from ending what
    would still converge: an interval of the median narrows with the root of the number of rounds.
    """

    width: float
    limit: float
    reason: StopReason = "noise settled"

    def met(self, medians: Sequence[float], seconds: float) -> bool:
        """Never before the oldest of the values that are compared is itself of 64 rounds."""
        count = len(medians)
        if count < 2 * LOOKS * EVERY or count % EVERY:
            return False
        interval = median_interval(medians)
        if interval is None:
            return False
        missed = (interval[1] - interval[0]) / (self.width * median(medians))
        if seconds * missed**2 <= self.limit:
            return False
        noise = [spread(medians[: count - EVERY * back]) for back in range(LOOKS)]
        return deviation(noise) < SETTLED * mean(noise)


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
    return [
        Converged(limits.interval_width, limits.min_rounds),
        TimeLimit(limits.seconds),
        NoiseSettled(limits.interval_width, limits.seconds),
    ]
