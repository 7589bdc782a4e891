"""The floor of a call: a true lower bound, from ceilings with round numbers."""

from __future__ import annotations

import pytest

from bench.evidence import Bandwidth, Ceilings, Limit, Rate
from bench.roofline.floor import floor
from zoo.graphs.work import Work

KIB, MIB = 2**10, 2**20


def rate(precision: str, threads: int, per_second: float, device: str = "cpu") -> Rate:
    return Rate(device=device, precision=precision, threads=threads, flops_per_second=per_second)


def memory(threads: int, working_set: int | None, per_second: float, device: str = "cpu") -> Bandwidth:
    return Bandwidth(device=device, threads=threads, working_set=working_set, bytes_per_second=per_second)


CPU = Ceilings(
    rates=[rate("fp32", 1, 1e11), rate("fp32", 4, 3e11), rate("int8", 1, 4e11), rate("bf16", 1, 2e11)],
    bandwidths=[
        *(memory(1, MIB, 8e10), memory(1, 2 * MIB, 4e10), memory(1, None, 1e10)),
        *(memory(4, MIB, 3e11), memory(4, 2 * MIB, 1.5e11), memory(4, None, 2e10)),
    ],
)
GPU = Ceilings(
    rates=[rate("fp32", 1, 5e13, "cuda"), rate("tf32", 1, 4e14, "cuda")],
    bandwidths=[memory(1, 64 * MIB, 4.2e12, "cuda"), memory(1, None, 4e12, "cuda")],
    launch_us=2.0,
)


def of(work: Work, ceilings: Ceilings = CPU, **more: object) -> Limit | None:
    facts: dict[str, object] = {"batch": 1, "executed": "fp32", "device": "cpu", "threads": 1, "scope": "call"}
    return floor(work, ceilings, **(facts | more))  # type: ignore[arg-type]


def test_much_arithmetic_is_bound_by_the_rate_and_grows_with_the_batch() -> None:
    work = Work({"fp32": 1_000_000_000}, {"fp32": MIB}, 1000)
    assert of(work) == Limit(flops=1_000_000_000, bytes=MIB + 1000, bound="compute", floor_ms=10.0)
    assert of(work, batch=32) == Limit(flops=32_000_000_000, bytes=MIB + 32_000, bound="compute", floor_ms=320.0)


def test_many_weights_are_bound_by_the_memory_that_they_come_from() -> None:
    """10 MB are read from main memory, 1 MB from a cache; 100 kB are in the cores, and reading them is no floor."""
    assert of(Work({"fp32": 1000}, {"fp32": 10_000_000}, 0)).floor_ms == pytest.approx(1.0)
    assert of(Work({"fp32": 1000}, {"fp32": MIB}, 0)).floor_ms == pytest.approx(MIB / 8e10 * 1e3)
    assert of(Work({"fp32": 1000}, {"fp32": 100_000}, 0)).bound == "compute"


def test_between_two_sets_that_were_measured_the_faster_one_counts() -> None:
    assert of(Work({"fp32": 0}, {"fp32": 3 * MIB}, 0)).floor_ms == pytest.approx(3 * MIB / 4e10 * 1e3)
    slow_moment = CPU.model_copy(update={"bandwidths": [memory(1, MIB, 1e9), memory(1, 2 * MIB, 4e10)]})
    assert of(Work({"fp32": 0}, {"fp32": MIB}, 0), slow_moment).floor_ms == pytest.approx(MIB / 4e10 * 1e3)


def test_a_number_of_threads_that_was_not_measured_lies_under_both_neighbours() -> None:
    work = Work({"fp32": 10**9}, {}, 8)
    assert of(work, threads=2).floor_ms == pytest.approx(10**9 / 2e11 * 1e3)  # at most twice one thread's
    assert of(work, threads=3).floor_ms == pytest.approx(10**9 / 3e11 * 1e3)  # at most what 4 have together


def test_each_arithmetic_has_its_rate_and_a_narrow_one_is_never_slower_than_a_wide_one() -> None:
    mixed = Work({"int8": 4 * 10**9, "fp32": 10**9}, {"int8": 8}, 8)
    assert of(mixed, executed="int8").floor_ms == pytest.approx(20.0)
    assert of(Work({"fp16": 10**9}, {"fp16": 8}, 8), executed="fp16").floor_ms == pytest.approx(10.0)


def test_an_fp32_graph_executed_in_bf16_computes_and_reads_in_bf16() -> None:
    limit = of(Work({"fp32": 10**9}, {"fp32": 8_000}, 100), executed="bf16")
    assert (limit.floor_ms, limit.bytes) == (pytest.approx(5.0), 4_100)


def test_on_a_gpu_fp32_may_be_tf32_and_a_call_is_at_least_one_launch() -> None:
    small = Work({"fp32": 1000}, {"fp32": 1000}, 8)
    assert of(small, GPU, device="cuda", threads=16) == Limit(flops=1000, bytes=1008, bound="launch", floor_ms=0.002)
    assert of(small, GPU, device="cuda:1", scope="compute").bound == "compute"  # of the device alone
    large = Work({"fp32": 4 * 10**11}, {"fp32": 1000}, 8)
    assert of(large, GPU, device="cuda").floor_ms == pytest.approx(1.0)
    weights = Work({"fp32": 1000}, {"fp32": 4 * 10**8}, 8)
    assert of(weights, GPU, device="cuda").floor_ms == pytest.approx(0.1)


def test_without_a_ceiling_there_is_no_floor() -> None:
    assert of(Work({"fp32": 10}, {"fp32": 10}, 8), Ceilings(rates=[], bandwidths=[])) is None
    assert of(Work({"fp32": 10}, {"fp32": 10}, 8), GPU) is None
    assert of(Work({}, {}, 8), CPU) is None
