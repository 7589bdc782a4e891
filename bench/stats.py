"""The statistics of latencies. Pure functions, no dependency.

Latencies are skewed, have several modes and no useful variance, so that everything here is made of order statistics
and assumes no distribution.
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
