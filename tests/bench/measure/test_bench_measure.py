import gc
from itertools import chain, repeat

import numpy as np
import pytest

from bench.cases import Limits
from bench.measure import (
    Converged,
    NoiseSettled,
    TimeLimit,
    WarmUp,
    measure,
    on_device,
    on_host,
    random_batches,
    stop_rule,
)
from bench.measure.warm import stationary
from zoo.errors import EnvironmentProblem

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
    timer = on_host(device.call, device.clock)
    return measure(timer, INPUTS, criteria=stop_rule(Limits(seconds=seconds)), clock=device.clock)


def test_a_steady_function_converges_after_half_a_second() -> None:
    timing = timed(Device(repeat(2.0)))
    assert timing.stop == "converged"
    assert timing.p50_ms == timing.p90_ms == timing.mean_ms == 2.0
    assert timing.p50_interval_ms == (2.0, 2.0)
    assert timing.images_per_second == pytest.approx(1000)
    assert {len(calls) for calls in timing.rounds_ns} == {5}  # 5 calls of 2 ms are a round of 10 ms
    assert len(timing.rounds_ns) == 50  # 50 rounds of 10 ms are half a second
    assert timing.warmup_calls == 102  # 6 windows of at least a sixth of 0.2 s, of 17 calls each


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
    assert timing.warmup_calls == 2 + 4 * 4  # two slow windows and four of 40 ms: what is left shows no trend
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
        measure(on_host(fails), INPUTS, criteria=stop_rule(Limits()))
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
    monkeypatch.setattr("bench.inputs.DISTINCT_BYTES", 4 * 24 * 24 * 3 * 2)
    assert len(random_batches(4, 24, 24)) == 2
    assert len(random_batches(64, 24, 24)) == 1


def test_warm_up_goes_on_while_calls_get_faster_and_is_bounded() -> None:
    settling = [40.0 - i for i in range(20)]
    timing = timed(Device(chain(settling, repeat(20.0))), seconds=1.0)
    assert timing.p90_ms == 20.0
    never = timed(Device(1000.0 * 0.97**i for i in range(10_000)), seconds=0.2)
    assert never.warmup_calls == 3  # 2 s of calls that last about a second


def test_stationary_is_an_order_without_a_trend_or_a_trend_too_small_to_matter() -> None:
    assert stationary([5, 5, 5, 5, 5, 5])
    assert stationary([5.1, 4.9, 5.2, 4.8, 5.0, 5.1])
    assert stationary([5.04, 5.03, 5.02, 5.01, 5.0, 4.99])  # falls by 1 %
    assert not stationary([6, 5.5, 5, 4.5, 4, 3.5])
    assert not stationary([3.5, 4, 4.5, 5, 5.5, 6])
    assert not stationary([5, 5, 5, 5, 5])  # too few to say
    assert stationary([9, 8, 7, 5, 5, 5, 5, 5, 5])  # only the latest count


class Steps:
    """A device whose state is looked at between rounds, and whose clock needs a while."""

    def __init__(self, unsteady: int) -> None:
        self.unsteady = unsteady
        self.said: list[str] = []

    def steady(self) -> bool:
        self.said.append("steady?")
        self.unsteady -= 1
        return self.unsteady < 0

    def start(self) -> None:
        self.said.append("start")

    def look(self) -> None:
        self.said.append("look")


def test_warm_up_waits_for_the_devices_clock_and_looks_at_it_between_rounds() -> None:
    device, watch = Device(repeat(10.0)), Steps(unsteady=20)
    criteria = [TimeLimit(0.05)]
    timing = measure(on_host(device.call, device.clock), INPUTS, criteria=criteria, clock=device.clock, watch=watch)
    assert watch.said == ["steady?"] * 21 + ["start"] + ["look"] * 5
    assert timing.warmup_calls == 21 * 4


def test_noise_that_has_settled_ends_a_measurement_that_would_not_converge_in_time() -> None:
    noisy = np.random.default_rng(1).gamma(4, 5, size=20_000)
    timing = timed(Device(chain(repeat(20.0, 12), noisy)), seconds=12.0)
    assert timing.stop == "noise settled"
    assert len(timing.rounds_ns) >= 128
    assert len(timing.rounds_ns) % 8 == 0


def test_noise_settled_asks_for_rounds_a_hopeless_interval_and_the_same_scatter_as_before() -> None:
    wide = [float(10 + i % 7) for i in range(160)]
    rule = NoiseSettled(width=0.03, limit=5.0)
    assert rule.met(wide, seconds=1.0)
    assert not rule.met(wide[:120], seconds=1.0)
    assert not rule.met(wide[:159], seconds=1.0)  # only every eighth round is looked at
    assert not NoiseSettled(width=0.03, limit=1e6).met(wide, seconds=1.0)
    grows = [10.0] * 100 + [float(5 + i % 17) for i in range(60)]
    assert not rule.met(grows, seconds=1.0)
    assert not rule.met([10.0] * 160, seconds=1.0)


def test_a_round_in_which_the_clock_jumped_is_thrown_away_and_counted() -> None:
    calls = [10.0] * 30
    jumps = chain(calls, [-5.0], calls, [3_600_000.0], repeat(10.0))
    timing = timed(Device(jumps))
    assert timing.thrown_away == 2
    assert {call for calls in timing.rounds_ns for call in calls} == {10 * MS}
    assert timing.stop == "converged"
    assert timing.mean_ms == 10.0


def test_an_outlier_that_an_interruption_explains_is_kept() -> None:
    timing = timed(Device(chain(repeat(10.0, 40), [400.0], repeat(10.0))))
    assert timing.thrown_away == 0
    assert max(call for calls in timing.rounds_ns for call in calls) == 400 * MS


def test_a_clock_that_keeps_jumping_or_stands_still_is_refused() -> None:
    restless = Device(chain(repeat(10.0, 30), *([10.0, -5.0] for _ in range(99))))
    with pytest.raises(EnvironmentProblem, match=r"the clock jumped in 3 of 12 rounds"):
        timed(restless)
    with pytest.raises(EnvironmentProblem, match="the clock stands still or runs backwards"):
        measure(on_host(lambda images: None, lambda: 0), INPUTS, criteria=[TimeLimit(1)], warm_up=WarmUp(1, 0, 0))


class Gpu:
    """A device that says what it took: `compute_seconds` as a backend has it."""

    def __init__(self, seconds: float, *, odd: dict[int, float] | None = None) -> None:
        self.seconds, self.odd = seconds, odd or {}
        self.runs: list[int] = []
        self.count = 0
        self.now = 0

    def compute_seconds(self, images, times: int) -> list[float]:
        self.runs.append(times)
        self.now += round(times * 2 * self.seconds * 1e9)  # the host waits twice as long as the device computes
        found = []
        for _ in range(times):
            self.count += 1
            found.append(self.odd.get(self.count, self.seconds))
        return found


def test_a_device_clock_gives_the_devices_own_times() -> None:
    gpu = Gpu(0.000_25)
    timing = measure(on_device(gpu.compute_seconds), INPUTS, criteria=stop_rule(Limits()), clock=lambda: gpu.now)
    assert timing.p50_ms == 0.25
    assert timing.images_per_second == pytest.approx(8000)
    assert set(gpu.runs[timing.warmup_calls :]) == {40}  # 10 ms of the device's time in one go
    assert timing.stop == "converged"


def test_a_device_clock_that_says_nan_costs_a_round_and_too_many_cost_the_row() -> None:
    nan = float("nan")
    gpu = Gpu(0.005, odd={50: nan})
    timing = measure(on_device(gpu.compute_seconds), INPUTS, criteria=stop_rule(Limits()), clock=lambda: gpu.now)
    assert (timing.thrown_away, timing.p50_ms, timing.mean_ms) == (1, 5.0, 5.0)
    gpu = Gpu(0.005, odd=dict.fromkeys(range(50, 60), nan))
    with pytest.raises(EnvironmentProblem, match="the clock jumped"):
        measure(on_device(gpu.compute_seconds), INPUTS, criteria=[TimeLimit(9)], clock=lambda: gpu.now)


def test_what_comes_before_a_call_is_in_no_time() -> None:
    device = Device(repeat(3.0))

    def flush() -> None:
        device.now += 50 * MS

    assert on_host(device.call, device.clock, before=flush)(iter(INPUTS), 3) == [3 * MS] * 3
