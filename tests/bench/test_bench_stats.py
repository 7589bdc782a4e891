import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binom

from bench.stats import median, median_interval, median_rank, quantile, thin


@pytest.mark.parametrize(
    ("n", "rank"), [(0, 0), (5, 0), (6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (30, 10), (50, 18), (100, 40)]
)
def test_rank_is_the_one_of_the_printed_tables(n: int, rank: int) -> None:
    assert median_rank(n, 0.95) == rank


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99, 0.999])
def test_rank_is_the_largest_one_that_keeps_its_promise(confidence: float) -> None:
    for n in range(1, 400):
        rank = median_rank(n, confidence)
        tail = (1 - confidence) / 2
        assert rank == 0 or binom.cdf(rank - 1, n, 0.5) <= tail + 1e-12
        assert binom.cdf(rank, n, 0.5) > tail - 1e-12


def test_interval_is_made_of_order_statistics_in_any_order() -> None:
    values = [float(value) for value in range(1, 13)]
    assert median_interval(values) == (3.0, 10.0)
    assert median_interval(values[::-1]) == (3.0, 10.0)
    assert median_interval(values[:5]) is None
    assert median_interval([7.0, 1.0, 3.0, 9.0, 5.0, 2.0]) == (1.0, 9.0)


def test_interval_follows_shift_and_scale() -> None:
    values = np.random.default_rng(3).lognormal(size=41)
    low, high = median_interval(list(values)) or (0.0, 0.0)
    shifted = median_interval([2 * value + 5 for value in values])
    assert shifted == pytest.approx((2 * low + 5, 2 * high + 5))


def test_interval_holds_the_median_of_a_skewed_distribution_as_often_as_it_says() -> None:
    samples = np.random.default_rng(1).exponential(size=(4000, 15))
    inside = 0
    for sample in samples:
        low, high = median_interval(list(sample)) or (0.0, 0.0)
        inside += low <= np.log(2) <= high
    exact = 1 - 2 * binom.cdf(median_rank(15) - 1, 15, 0.5)
    assert exact >= 0.95
    assert inside / len(samples) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize("q", [0, 0.1, 0.5, 0.9, 0.99, 1])
def test_quantile_is_numpys(q: float) -> None:
    draw = np.random.default_rng(0)
    for n in (1, 2, 3, 10, 101):
        values = draw.lognormal(size=n)
        assert quantile(list(values), q) == pytest.approx(np.quantile(values, q))
    assert median([4, 1, 3, 2]) == 2.5


def test_thinning_keeps_the_shape() -> None:
    values = list(np.random.default_rng(0).lognormal(size=5000))
    few = thin(values, 100)
    assert len(few) == 100
    assert few == sorted(few)
    assert median(few) == pytest.approx(median(values), rel=0.02)
    assert thin([3.0, 1.0, 2.0], 100) == [1.0, 2.0, 3.0]


def test_neither_parent_nor_child_imports_what_it_does_not_need() -> None:
    code = (
        "import sys, bench.cli, bench.suite.case_list, bench.suite.runner, bench.measure.child, bench.show.text\n"
        "heavy = {'scipy', 'torch', 'onnxruntime', 'openvino', 'jinja2', 'vl_convert', 'lightning', 'onnx'}\n"
        "sys.exit(', '.join(heavy & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
