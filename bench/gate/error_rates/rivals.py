"""What other tools decide by, in a few lines each, so that all can be asked about the same times.

Each takes the calls of one baseline and one candidate process and says whether it would call the candidate slower.
They are the published rules, not the tools: the tools also choose how to run things.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from bench.stats import deviation, mean, median, t_tail

Times = Sequence[float]
Rival = Callable[[Times, Times], bool]


def mean_threshold(before: Times, after: Times) -> bool:
    """More than 5 % slower on average, as most CI jobs that compare two numbers decide."""
    return mean(after) > 1.05 * mean(before)


def mann_whitney(before: Times, after: Times) -> bool:
    """Two-sided p < 0.05 and slower: the rule of google/benchmark's compare.py."""
    return median(after) > median(before) and rank_p(before, after) < 0.05


def criterion_like(before: Times, after: Times) -> bool:
    """Welch's t, p < 0.05, and a mean more than 1 % higher: criterion.rs with its default noise threshold."""
    a, b = deviation(before) ** 2 / len(before), deviation(after) ** 2 / len(after)
    gap = mean(after) - mean(before)
    if gap <= 0.01 * mean(before):
        return False
    if a + b == 0:
        return True
    df = (a + b) ** 2 / (a**2 / (len(before) - 1) + b**2 / (len(after) - 1))
    return 2 * t_tail(gap / math.sqrt(a + b), max(1, math.floor(df))) < 0.05


def asv_like(before: Times, after: Times) -> bool:
    """Two-sided p < 0.002 of the rank test and a median more than 10 % higher: asv continuous."""
    return median(after) > 1.1 * median(before) and rank_p(before, after) < 0.002


RULES: dict[str, Rival] = {
    "mean more than 5 % higher": mean_threshold,
    "Mann-Whitney, p < 0.05": mann_whitney,
    "criterion-like: Welch p < 0.05, > 1 %": criterion_like,
    "asv-like: Mann-Whitney p < 0.002, > 10 %": asv_like,
}


def rank_p(left: Times, right: Times) -> float:
    """Two-sided p of the Mann-Whitney test: normal approximation with corrections for ties and continuity."""
    m, n = len(left), len(right)
    ordered = sorted([(value, 0) for value in left] + [(value, 1) for value in right])
    ranks, ties, start = 0.0, 0.0, 0
    while start < m + n:
        end = start
        while end < m + n and ordered[end][0] == ordered[start][0]:
            end += 1
        size = end - start
        ranks += (start + end + 1) / 2 * sum(1 for _, side in ordered[start:end] if side)
        ties += size**3 - size
        start = end
    u = ranks - n * (n + 1) / 2
    spread = m * n / 12 * (m + n + 1 - ties / ((m + n) * (m + n - 1)))
    if spread == 0:
        return 1.0
    z = max(0.0, abs(u - m * n / 2) - 0.5) / math.sqrt(spread)
    return math.erfc(z / math.sqrt(2))
