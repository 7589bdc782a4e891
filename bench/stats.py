"""The statistics of latencies. Pure functions, no dependency.

Latencies are skewed, have several modes and no useful variance, so that everything about them is made of order
statistics and assumes no distribution. Means and Student's t are for values that are themselves medians of many rounds,
one for each process: those are few, independent and near enough to normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

CONFIDENCE = 0.95


def quantile(values: Sequence[float], q: float) -> float:
    """The `q` quantile (0 to 1) of `values`, in any order, interpolated linearly between neighbours.

    This is definition 7 of Hyndman and Fan, which numpy uses too. `values` must not be empty.
    """
    return _at(sorted(values), q)


def _at(ordered: Sequence[float], q: float) -> float:
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two."""
    return quantile(values, 0.5)


def spread(values: Sequence[float]) -> float:
    """The interquartile range as a share of the median; values greater than 0."""
    ordered = sorted(values)
    return (_at(ordered, 0.75) - _at(ordered, 0.25)) / _at(ordered, 0.5)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """A confidence interval of the median that is right for every continuous distribution.

    The number of values below the true median is binomial(n, 1/2), so that two order statistics enclose it with a
    probability that is known exactly. Returns (low, high), or None when `values` are too few for this confidence
    (fewer than 6 for 95 %). The values must be independent: give medians of rounds, not the calls inside a round.
    """
    rank = median_rank(len(values), confidence)
    if rank == 0:
        return None
    ordered = sorted(values)
    return ordered[rank - 1], ordered[-rank]


@lru_cache(maxsize=1024)
def median_rank(n: int, confidence: float = CONFIDENCE) -> int:
    """The largest k for which [k-th smallest, k-th largest] of `n` values holds the median with `confidence`.

    That is the largest k with P(binomial(n, 1/2) < k) <= (1 - confidence) / 2, in exact integer arithmetic; 0 when
    there is none.
    """
    budget = math.floor((1 - Fraction(str(confidence))) / 2 * 2**n)
    rank, term, below = 0, 1, 0  # term = C(n, rank); below = how many of the 2^n outcomes are less than rank
    while below + term <= budget:
        below += term
        rank += 1
        term = term * (n - rank + 1) // rank
    return rank


def thin(values: Sequence[float], count: int) -> list[float]:
    """At most `count` values with the shape of `values`: all of them, ordered, or evenly spaced quantiles."""
    ordered = sorted(values)
    if len(ordered) <= count:
        return ordered
    return [_at(ordered, (i + 0.5) / count) for i in range(count)]


def mean(values: Sequence[float]) -> float:
    """The mean, exactly rounded, so that the order of the values does not matter."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample (divided by n - 1); at least two values."""
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def t_tail(t: float, df: int) -> float:
    """P(T > t) of Student's t with a whole number of degrees of freedom.

    The finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4: no series to cut off, no iteration.
    """
    angle = math.atan(t / math.sqrt(df))
    cosine = math.cos(angle)
    odd = df % 2
    total = 0.0
    term = cosine if odd else 1.0
    for i in range(2 + odd, df + 1, 2):
        total += term
        term *= (i - 1) / i * cosine**2
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 - inside) / 2


@lru_cache(maxsize=1024)
def t_quantile(p: float, df: int) -> float:
    """The value that Student's t stays below with probability `p`, to the last few digits, by bisection."""
    if p < 0.5:
        return -t_quantile(1 - p, df)
    low, high = 0.0, 1.0
    while t_tail(high, df) > 1 - p:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if t_tail(middle, df) > 1 - p else (low, middle)
    return middle


def change_points(values: Sequence[float], *, p: float = 0.001, least: float = 0.02, run: int = 4) -> list[int]:
    """Where a series of logarithms took a step: the indices of the first value after each, in order.

    Binary segmentation: the split with the largest |t| (equal variances) is a step when its two-sided p, multiplied by
    the number of splits that were tried, is below `p` and the means differ by `least` (0.02: 2 %); then both parts are
    searched. Every part keeps `run` values.
    """
    splits = range(run, len(values) - run + 1)
    best, size = max(((i, abs(_two_sample_t(values[:i], values[i:]))) for i in splits), key=_second, default=(0, 0.0))
    if not best or 2 * t_tail(size, len(values) - 2) * len(splits) >= p:
        return []
    before, after = values[:best], values[best:]
    if abs(mean(after) - mean(before)) < least:
        return []
    options = {"p": p, "least": least}
    later = [best + i for i in change_points(after, run=run, **options)]
    return [*change_points(before, run=run, **options), best, *later]


def _second(pair: tuple[int, float]) -> float:
    return pair[1]


def _two_sample_t(left: Sequence[float], right: Sequence[float]) -> float:
    m, n = len(left), len(right)
    pooled = ((m - 1) * deviation(left) ** 2 + (n - 1) * deviation(right) ** 2) / (m + n - 2)
    gap = mean(right) - mean(left)
    if pooled == 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(pooled * (1 / m + 1 / n))
