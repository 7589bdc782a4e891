"""The decision: pure arithmetic on one number per process pair.

The number is `u = ln(candidate / baseline)`, the median over the rounds of one pair of processes. Two processes that
run the same file differ by a percent or two, for as long as they live, because memory was laid out differently; so
rounds inside a pair are no evidence about other pairs, and the pair is the only independent unit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.stats import deviation, mean, t_quantile

Verdict = Literal["pass", "fail", "inconclusive"]
# When the evidence is examined. Bonferroni over the looks keeps alpha and beta what they are called, whatever the
# times' distribution over the looks; a spending function would save a pair or two and would have to be trusted.
LOOKS = (5, 8, 12, 17, 24)


@dataclass(frozen=True)
class Rule:
    """PASS says that a slowdown of `target` is ruled out, FAIL that it is slower by more than `tolerance`.

    `alpha`: chance of a false alarm in the whole suite, for `family` measured things; `beta`: of missing a `target`
    slowdown of one of them.
    """

    tolerance: float = 0.015
    target: float = 0.05
    alpha: float = 0.01
    beta: float = 0.05
    family: int = 1


@dataclass(frozen=True)
class Decision:
    """`verdict` is None while more pairs are needed. Changes are shares: 0.02 is 2 % slower.

    The change lies above `low` and below `high` with the certainty that FAIL and PASS ask for.
    """

    verdict: Verdict | None
    pairs: int
    change: float | None
    low: float | None
    high: float | None


def look(units: Sequence[float], rule: Rule) -> Decision:
    """Judge all of `units`. INCONCLUSIVE comes at the last look only; fewer than 2 units say nothing yet."""
    pairs = len(units)
    if pairs < 2:
        change = math.expm1(units[0]) if units else None
        return Decision(None, pairs, change, None, None)
    centre, error = mean(units), deviation(units) / math.sqrt(pairs)
    low = centre - error * t_quantile(1 - rule.alpha / rule.family / len(LOOKS), pairs - 1)
    high = centre + error * t_quantile(1 - rule.beta / len(LOOKS), pairs - 1)
    verdict: Verdict | None = None
    if low > math.log1p(rule.tolerance):
        verdict = "fail"
    elif high < math.log1p(rule.target):
        verdict = "pass"
    elif pairs >= LOOKS[-1]:
        verdict = "inconclusive"
    return Decision(verdict, pairs, math.expm1(centre), math.expm1(low), math.expm1(high))


def decide(units: Sequence[float], rule: Rule) -> Decision:
    """The first verdict that the looks give; without one, the state after all of `units`, as far as they reach."""
    for pairs in LOOKS:
        if pairs > len(units):
            break
        decision = look(units[:pairs], rule)
        if decision.verdict is not None:
            return decision
    seen = look(units[: LOOKS[-1]], rule)
    return Decision(None, seen.pairs, seen.change, seen.low, seen.high)


def drifts(units: Sequence[float], rule: Rule) -> bool:
    """Whether the baseline beside itself differs from itself beyond doubt: such a machine is not to be trusted.

    The test of FAIL at every look, in both directions, with half of `alpha` for each.
    """
    both = Rule(rule.tolerance, rule.target, rule.alpha / 2, rule.beta)
    directions = (units, [-unit for unit in units])
    seen = [
        look(direction[:pairs], both).verdict for direction in directions for pairs in LOOKS if pairs <= len(direction)
    ]
    return "fail" in seen
