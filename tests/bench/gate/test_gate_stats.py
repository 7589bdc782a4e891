import math
import random

import numpy as np
import pytest
from scipy import stats as scipy_stats

from bench.gate.error_rates.rivals import rank_p
from bench.gate.rule import LOOKS, Rule, decide, drifts, look
from bench.stats import change_points, deviation, mean, t_quantile, t_tail
from tests.support.gates import noise


@pytest.mark.parametrize("df", [1, 2, 3, 4, 7, 11, 16, 23, 24, 60, 237])
def test_students_t_is_scipys(df):
    for p in (0.5, 0.75, 0.9, 0.99, 0.998, 0.9999, 1 - 1e-6, 0.3, 0.002):
        assert t_quantile(p, df) == pytest.approx(scipy_stats.t.ppf(p, df), rel=1e-8, abs=1e-12)
    for t in (-40.0, -2.0, 0.0, 0.1, 1.0, 5.0, 60.0):
        assert t_tail(t, df) == pytest.approx(scipy_stats.t.sf(t, df), rel=1e-6, abs=1e-15)


def test_mean_and_deviation_are_numpys_and_blind_to_order():
    draw = np.random.default_rng(0)
    for _ in range(50):
        values = list(draw.lognormal(size=24))
        shuffled = values[:]
        random.Random(1).shuffle(shuffled)
        assert mean(values) == mean(shuffled) == pytest.approx(np.mean(values))
        assert deviation(values) == deviation(shuffled) == pytest.approx(np.std(values, ddof=1))


@pytest.mark.parametrize("pairs", LOOKS)
def test_a_look_follows_a_shift_and_is_blind_to_order(pairs):
    rule = Rule()
    for seed in range(20):
        units = noise(0.01, pairs=pairs, seed=seed)
        seen, shifted = look(units, rule), look([unit + 0.3 for unit in units], rule)
        for name in ("change", "low", "high"):
            before, after = getattr(seen, name), getattr(shifted, name)
            assert math.log1p(after) == pytest.approx(math.log1p(before) + 0.3)
        assert look(sorted(units), rule) == seen
        assert seen.low < seen.change < seen.high


def test_the_rule_says_what_it_promises():
    assert decide(noise(0.0), Rule()).verdict == "pass"
    assert decide(noise(0.05), Rule()).verdict == "fail"
    assert decide(noise(-0.2), Rule()).verdict == "pass"
    assert decide(noise(0.03, spread=0.2), Rule()).verdict == "inconclusive"
    assert decide(noise(0.0, pairs=4, spread=1e-6), Rule()).verdict is None  # five pairs are the fewest
    assert decide([0.0] * 5, Rule()).verdict == "pass"  # a clock that is too coarse to show any difference
    assert decide([0.1] * 5, Rule()).verdict == "fail"


def test_clear_cases_are_decided_early_and_a_larger_family_needs_more():
    clear = noise(0.3, spread=0.01)
    assert decide(clear, Rule()).pairs == LOOKS[0]
    near = noise(0.05, spread=0.012, seed=4)
    assert decide(near, Rule(family=50)).pairs >= decide(near, Rule()).pairs


def test_alpha_and_beta_hold_at_the_edge_of_the_margins():
    """At the tolerance itself a false alarm comes at most as often as alpha says; at the target a pass as beta says."""
    draw, replays = random.Random(7), 3000
    outcomes = {"fail": 0, "pass": 0}
    for _ in range(replays):
        errors = [draw.gauss(0, 0.02) for _ in range(LOOKS[-1])]
        outcomes["fail"] += decide([math.log1p(0.015) + e for e in errors], Rule(alpha=0.05)).verdict == "fail"
        outcomes["pass"] += decide([math.log1p(0.05) + e for e in errors], Rule(beta=0.05)).verdict == "pass"
    assert outcomes["fail"] <= 0.05 * replays
    assert outcomes["pass"] <= 0.05 * replays


def test_a_machine_whose_baseline_differs_from_itself_drifts_in_either_direction():
    assert drifts(noise(0.05), Rule())
    assert drifts(noise(-0.05), Rule())
    assert not drifts(noise(0.0), Rule())
    assert not drifts(noise(0.05, pairs=4), Rule())


def test_rank_test_is_scipys():
    draw = np.random.default_rng(2)
    for shift in (0, 1, 3):
        left, right = draw.integers(0, 40, 120), draw.integers(0, 40, 110) + shift
        wanted = scipy_stats.mannwhitneyu(left, right, method="asymptotic", use_continuity=True).pvalue
        assert rank_p([float(v) for v in left], [float(v) for v in right]) == pytest.approx(wanted, rel=1e-9)
    assert rank_p([1.0] * 5, [1.0] * 5) == 1.0


def test_change_points_are_found_where_they_are_and_not_elsewhere():
    draw = np.random.default_rng(3)
    step = np.repeat([0.0, 0.06, 0.02], [20, 15, 25]) + draw.normal(0, 0.005, 60)
    assert change_points(list(step)) == [20, 35]
    quiet = sum(bool(change_points(list(draw.normal(0, 0.02, 40)))) for _ in range(200))
    assert quiet <= 2
    assert change_points([0.0] * 10 + [0.01] * 10) == []  # below the least that counts
    assert change_points([0.0] * 10 + [0.05] * 10) == [10]
    assert change_points([0.0, 0.1]) == []
    assert change_points([]) == []
