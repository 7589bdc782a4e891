import gc
from itertools import chain, repeat

import numpy as np
import pytest

from bench.cases import Limits
from bench.measure import Converged, TimeLimit, WarmUp, measure, random_batches, stop_rule

MS = 1_000_000


class Device:
    """A clock that only moves when something is called, and a function whose calls take as long as it is told."""

    def __init__(self, durations_ms) -> None:
        self.now = 0
        self.durations = iter(durations_ms)
        self.seen: list[int] = []
        self.collecting: set[bool] = set()

    def clock(self) -> int:
        return self.now

    def call(self, images) -> None:
        self.seen.append(int(images[0, 0, 0, 0]))
        self.collecting.add(gc.isenabled())
        self.now += round(next(self.durations) * MS)


INPUTS = [np.full((2, 4, 4, 3), number, dtype=np.uint8) for number in range(3)]


def timed(device: Device, *, seconds: float = 2.0):
    return measure(device.call, INPUTS, criteria=stop_rule(Limits(seconds=seconds)), clock=device.clock)


def test_a_steady_function_converges_after_half_a_second() -> None:
    timing = timed(Device(repeat(2.0)))
    assert timing.stop == "converged"
    assert timing.p50_ms == timing.p90_ms == timing.mean_ms == 2.0
    assert timing.p50_interval_ms == (2.0, 2.0)
    assert timing.images_per_second == pytest.approx(1000)
    assert {len(calls) for calls in timing.rounds_ns} == {5}  # 5 calls of 2 ms are a round of 10 ms
    assert len(timing.rounds_ns) == 50  # 50 rounds of 10 ms are half a second
    assert timing.warmup_calls == 100  # 0.2 s


def test_a_slow_steady_function_needs_its_minimum_of_rounds() -> None:
    timing = timed(Device(repeat(100.0)))
    assert timing.stop == "converged"
    assert [len(calls) for calls in timing.rounds_ns] == [1] * 12
    assert timing.p99_ms is None


def test_an_unsteady_function_stops_at_the_time_limit_and_says_so() -> None:
    moods = np.random.default_rng(0).choice([10.0, 20.0], size=1000)
    timing = timed(Device(chain(repeat(15.0, 14), moods)), seconds=1.0)
    assert timing.stop == "time limit"
    low, high = timing.p50_interval_ms or (0, 0)
    assert (low, high) == (10.0, 20.0)
    assert low <= timing.p50_ms <= high
    spent = sum(chain.from_iterable(timing.rounds_ns)) / 1e9
    assert 1.0 <= spent < 1.03  # no longer than one more round


def test_a_very_slow_function_is_called_once_to_warm_up_and_once_in_a_round() -> None:
    timing = timed(Device(repeat(3000.0)))
    assert timing.stop == "time limit"
    assert timing.warmup_calls == 1
    assert timing.rounds_ns == [[3000 * MS]]
    assert timing.p50_interval_ms is None


def test_warm_up_is_not_measured() -> None:
    timing = timed(Device(chain([500.0, 90.0], repeat(10.0))))
    assert timing.warmup_calls == 5
    assert {call for calls in timing.rounds_ns for call in calls} == {10 * MS}


def test_a_round_sees_every_input_even_with_one_call_a_round() -> None:
    device = Device(repeat(50.0))
    timing = timed(device)
    measured = device.seen[timing.warmup_calls :]
    assert measured[:6] in ([0, 1, 2, 0, 1, 2], [1, 2, 0, 1, 2, 0], [2, 0, 1, 2, 0, 1])


def test_the_garbage_collector_rests_and_comes_back() -> None:
    device = Device(repeat(10.0))
    assert gc.isenabled()
    timed(device)
    assert device.collecting == {False}
    assert gc.isenabled()

    def fails(images) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        measure(fails, INPUTS, criteria=stop_rule(Limits()))
    assert gc.isenabled()


def test_converged_needs_rounds_and_time_and_a_narrow_interval() -> None:
    rule = Converged(width=0.03, min_rounds=12)
    narrow = [100.0, 101.0] * 10
    assert rule.met(narrow, seconds=0.6)
    assert not rule.met(narrow, seconds=0.4)
    assert not rule.met(narrow[:11], seconds=9)
    assert not rule.met([100.0, 104.0] * 10, seconds=9)
    assert not Converged(width=9, min_rounds=1, min_seconds=0).met([1.0] * 5, seconds=9)  # no 95 % interval yet


def test_time_limit_and_warm_up_count_seconds() -> None:
    assert not TimeLimit(2.0).met([], 1.99)
    assert TimeLimit(2.0).met([], 2.0)
    assert not WarmUp().enough(4, 0.3)
    assert not WarmUp().enough(50, 0.1)
    assert WarmUp().enough(5, 0.2)
    assert WarmUp().enough(1, 2.0)
    assert not WarmUp().enough(0, 9.0)


def test_random_batches_are_different_images_and_the_same_every_time() -> None:
    batches = random_batches(4, 24, 20)
    assert len(batches) == 8
    assert {(images.shape, images.dtype.name) for images in batches} == {((4, 24, 20, 3), "uint8")}
    assert len({images.tobytes() for images in batches}) == 8
    assert all((one == two).all() for one, two in zip(batches, random_batches(4, 24, 20), strict=True))
    assert 20 < np.std(batches[0]) < 110


def test_large_batches_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.DISTINCT_BYTES", 4 * 24 * 24 * 3 * 2)
    assert len(random_batches(4, 24, 24)) == 2
    assert len(random_batches(64, 24, 24)) == 1
