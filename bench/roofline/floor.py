"""The floor of a call: the least time that its work can take under this machine's ceilings.

Every rule errs to the side of a lower floor, so that a share of more than 100 % means that a ceiling was measured at a
bad moment, and not that the floor is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench.cases import Scope
from bench.evidence import Bandwidth, Ceilings, Limit, Rate
from zoo.graphs.work import Work

# What each arithmetic can always be computed in, too: a wider one, or what a GPU takes for fp32 unless told otherwise.
ALSO = {"fp16": ("fp32", "tf32"), "bf16": ("fp32", "tf32"), "int8": ("fp32", "tf32", "fp16", "bf16"), "fp32": ("tf32",)}
# What an fp32 graph may be executed in, and by how much its weights shrink.
NARROWED = {"bf16": 2, "fp16": 2}


def floor(
    work: Work, ceilings: Ceilings, *, batch: int, executed: str, device: str, threads: int, scope: Scope
) -> Limit | None:
    """The least time of one call with `batch` images; None where a ceiling is missing.

    `executed`: the precision that the row states. An fp32 graph that is executed in half precision computes in it and
    holds its weights in it.
    """
    kind = device.partition(":")[0]
    threads = 1 if kind == "cuda" else threads  # a GPU's ceilings know no threads of the host
    seconds = 0.0
    for arithmetic, operations in work.operations.items():
        rate = _rate(ceilings, kind, executed if arithmetic == "fp32" and executed in NARROWED else arithmetic, threads)
        if rate is None:
            return None
        seconds += operations * batch / rate
    weights = sum(
        size // (NARROWED.get(executed, 1) if number_format == "fp32" else 1)
        for number_format, size in work.weights.items()
    )
    size = weights + work.ends * batch
    reached = _bandwidth(ceilings, kind, size, threads)
    launch = ceilings.launch_us if kind == "cuda" and scope != "compute" else None
    parts = {
        "compute": seconds,
        "memory": size / reached if reached else 0.0,
        "launch": (launch or 0.0) / 1e6,
    }
    bound = max(parts, key=lambda part: parts[part])
    if parts[bound] <= 0:
        return None
    flops = sum(work.operations.values()) * batch
    return Limit.model_validate({"flops": flops, "bytes": size, "bound": bound, "floor_ms": parts[bound] * 1e3})


def _rate(ceilings: Ceilings, device: str, arithmetic: str, threads: int) -> float | None:
    """The highest rate that `threads` threads can reach in this arithmetic, or in a wider one."""
    kinds = {arithmetic, *ALSO.get(arithmetic, ())}
    known = [rate for rate in ceilings.rates if rate.device == device and rate.precision in kinds]
    found = [
        rate
        for kind in kinds
        if (rate := _least(_scaled(one, threads) for one in known if one.precision == kind)) is not None
    ]
    return max(found, default=None)


def _scaled(one: Rate, threads: int) -> float:
    """What is known from another number of threads: fewer have each at least as much, more have together as much."""
    return one.flops_per_second * max(1.0, threads / one.threads)


def _bandwidth(ceilings: Ceilings, device: str, size: int, threads: int) -> float | None:
    """The highest rate at which `threads` threads can go through `size` bytes; None where that is not known."""
    counts = {one.threads for one in ceilings.bandwidths if one.device == device}

    def at(count: int) -> float | None:
        known = [one for one in ceilings.bandwidths if one.device == device and one.threads == count]
        scale = max(1.0, threads / count)
        rate = _of_set(known, size / scale)
        return None if rate is None else rate * scale

    return _least(at(count) for count in counts)


def _of_set(known: list[Bandwidth], size: float) -> float | None:
    """The best rate of the working sets that are not smaller than the largest one below `size`.

    A smaller set is nearer to the cores, so that the next smaller one is a ceiling; and no set is faster than a smaller
    one, so that a larger one that was measured faster is one, too.
    """
    named = sorted((one for one in known if one.working_set is not None), key=lambda one: one.working_set or 0)
    below = [one.working_set or 0 for one in named if (one.working_set or 0) <= size]
    memory = [one.bytes_per_second for one in known if one.working_set is None]
    if not below:  # nearer to the cores than anything that was measured
        return None
    if memory and size >= 2 * (named[-1].working_set or 0):
        return max(memory)
    rates = [one.bytes_per_second for one in named if (one.working_set or 0) >= below[-1]]
    return max([*rates, *memory], default=None)


def _least(rates: Iterable[float | None]) -> float | None:
    return min((rate for rate in rates if rate is not None), default=None)
