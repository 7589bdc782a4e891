"""Which of the measured engines is chosen, which are worth knowing, and why the others are out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.results import Row
from bench.tune.candidates import Kind, Requirements

SLACK = 1e-7  # a budget that is used up exactly is kept


@dataclass(frozen=True)
class Standing:
    """The accuracy of a kind, how much it lost against fp32 in the task's unit, and where that is known from."""

    value: float
    lost: float


@dataclass(frozen=True)
class Entry:
    """One (backend, precision, threads, batch), measured. `why`: it is ruled out; None: it is admissible."""

    kind: Kind
    threads: int
    batch: int
    p50_ms: float
    images_per_second: float
    settled: bool
    memory: int
    standing: Standing
    why: str | None

    def as_dict(self) -> dict[str, Any]:
        """The same as data."""
        return {
            "backend": self.kind.backend,
            "precision": self.kind.precision,
            "threads": self.threads,
            "batch": self.batch,
            "p50_ms": self.p50_ms,
            "images_per_second": self.images_per_second,
            "settled": self.settled,
            "memory_bytes": self.memory,
            "accuracy": self.standing.value,
            "lost": self.standing.lost,
            "ruled_out": self.why,
        }


def entry(kind: Kind, row: Row, standing: Standing, requirements: Requirements) -> Entry:
    """What a measured row comes to. `row` must have a timing."""
    assert row.timing is not None
    assert row.engine.threads is not None
    memory = row.peak_memory or 0
    return Entry(
        kind=kind,
        threads=row.engine.threads,
        batch=row.batch,
        p50_ms=row.timing.p50_ms,
        images_per_second=row.timing.images_per_second,
        settled=row.timing.stop == "converged",
        memory=memory,
        standing=standing,
        why=_objection(memory, requirements),
    )


def _objection(memory: int, requirements: Requirements) -> str | None:
    if requirements.max_memory is not None and not requirements.allows(memory):
        return f"takes {memory / 1e6:.0f} MB of memory, {requirements.max_memory / 1e6:.0f} are allowed"
    return None


def too_inaccurate(standing: Standing, requirements: Requirements, unit: str) -> str | None:
    """Why a kind is ruled out by its accuracy, if it is."""
    if standing.lost <= requirements.max_drop + SLACK:
        return None
    return f"loses {standing.lost:.2f} {unit}, {requirements.max_drop:g} is allowed"


def speed(found: Entry, requirements: Requirements) -> float:
    """Higher is better, by what the engine is wanted for."""
    return requirements.speed(found.p50_ms, found.images_per_second)


def best(entries: Sequence[Entry], requirements: Requirements) -> Entry | None:
    """The fastest admissible one."""
    return max((one for one in entries if one.why is None), key=lambda one: speed(one, requirements), default=None)


def front(entries: Sequence[Entry], requirements: Requirements) -> list[Entry]:
    """The admissible entries that no other beats in speed, accuracy and memory at once, fastest first."""
    admissible = [one for one in entries if one.why is None]
    kept = [one for one in admissible if not any(_dominates(other, one, requirements) for other in admissible)]
    return sorted(kept, key=lambda one: -speed(one, requirements))


def _dominates(one: Entry, other: Entry, requirements: Requirements) -> bool:
    mine = speed(one, requirements), -one.standing.lost, -one.memory
    theirs = speed(other, requirements), -other.standing.lost, -other.memory
    return mine != theirs and all(a >= b for a, b in zip(mine, theirs, strict=True))
