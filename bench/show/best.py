"""One engine for each model: the table that a person reads first."""

from __future__ import annotations

from bench.cases import EAGER, is_engine
from bench.results import Results
from bench.show.table import Line, pivot


def one_engine_each(results: Results) -> Results:
    """Keep each teacher as its owner runs it today, and of every model the engine with the lowest p50.

    A control keeps the engine of its student, so that the two rows differ in nothing but what they learned from.
    """
    lines = [line for line in pivot(results).lines if line.p50_ms is not None]
    fastest: dict[tuple[str, str], Line] = {}
    for line in lines:
        known = fastest.get((line.scope, line.model))
        if is_engine(line.engine.backend) and (known is None or _p50(line) < _p50(known)):
            fastest[line.scope, line.model] = line
    for line in lines:
        student = fastest.get((line.scope, line.group or ""))
        if line.role == "control" and student is not None and _engine(line) == _engine(student):
            fastest[line.scope, line.model] = line
    kept = [
        row
        for line in lines
        if line.engine.backend == EAGER or line is fastest.get((line.scope, line.model))
        for row in line.rows
    ]
    return results.model_copy(update={"rows": kept})


def _p50(line: Line) -> float:
    return line.p50_ms if line.p50_ms is not None else float("inf")


def _engine(line: Line) -> tuple[object, ...]:
    engine = line.engine
    return engine.backend, engine.precision, engine.device, engine.threads
