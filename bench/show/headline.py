"""Which one to ship, in a sentence that follows from the rows."""

from __future__ import annotations

from dataclasses import dataclass

from bench.cases import EAGER, PEERS
from bench.results import Accuracy
from bench.show.table import Line, Table
from bench.show.text import factor, milliseconds

POINT = {"%": "point"}
Segments = list[tuple[str, bool]]


@dataclass(frozen=True)
class Pick:
    """The line to ship. `standard`: the accuracy it is held to; `within`: whether it keeps that within its budget."""

    line: Line
    teacher: Line | None
    standard: Accuracy | None
    within: bool


def pick(table: Table) -> Pick | None:
    """The fastest student that stays within the budget of the teacher; the most accurate one when none does.

    Without a student every line but a teacher's or control's counts; without a teacher the best accuracy among the
    candidates is the standard; without any accuracy the fastest is taken. None when nothing was measured.
    """
    timed = [line for line in table.lines if line.p50_ms is not None and line.engine.backend not in PEERS]
    candidates = [line for line in timed if line.role == "student"] or [line for line in timed if line.role is None]
    if not candidates:
        return None
    teacher = _teacher(timed)
    known = [(line, line.accuracy) for line in candidates if line.accuracy is not None]
    if not known:
        return Pick(min(candidates, key=_latency), teacher, None, within=True)
    best = min((accuracy for _, accuracy in known), key=lambda accuracy: accuracy.rank)
    standard = teacher.accuracy if teacher and teacher.accuracy is not None else best
    kept = [line for line, accuracy in known if accuracy.lost(standard) <= accuracy.budget + 1e-7]
    if kept:
        return Pick(min(kept, key=_latency), teacher, standard, within=True)
    closest, _ = min(known, key=lambda pair: (pair[1].lost(standard), _latency(pair[0])))
    return Pick(closest, teacher, standard, within=False)


def headline(table: Table) -> Segments:
    """The sentence as pieces of text, each with whether it is to be emphasised."""
    chosen = pick(table)
    if chosen is None:
        return [("No student was measured.", True)]
    line = chosen.line
    variant = f" ({line.variant})" if line.variant else ""
    name = f"{line.model} in {line.engine.precision} on {line.engine.backend}{variant}"
    p50 = f" {milliseconds(line.p50_ms or 0)} an image"
    if chosen.standard is None or line.accuracy is None:
        return [
            ("The fastest is ", False),
            (name, True),
            (":", False),
            (p50, True),
            (". Accuracy was not measured.", False),
        ]
    accuracy = line.accuracy
    budget = f"{accuracy.budget:g} {POINT.get(accuracy.unit, accuracy.unit)}"
    start = "Ship " if chosen.within else f"No student is within {budget} of its teacher. The closest is "
    score = accuracy.phrase
    pieces: Segments = [(start, False), (name, True), (": ", False), (score, True)]
    if chosen.teacher is None or chosen.teacher.accuracy is None:
        return [*pieces, (" at", False), (p50, True), (".", False)]
    return [*pieces, (f", {_gap(accuracy, chosen.standard)}", False), *_faster(table, line), (".", False)]


def plain(segments: Segments) -> str:
    """The sentence without emphasis."""
    return "".join(text for text, _ in segments)


def _teacher(lines: list[Line]) -> Line | None:
    """The teacher as its owner runs it; otherwise the most accurate of its engines."""
    teachers = [line for line in lines if line.role == "teacher"]
    eager = [line for line in teachers if line.engine.backend == EAGER]
    return min(eager or teachers, key=lambda line: line.accuracy.rank if line.accuracy else float("inf"), default=None)


def _latency(line: Line) -> float:
    return line.p50_ms if line.p50_ms is not None else float("inf")


def _gap(accuracy: Accuracy, standard: Accuracy) -> str:
    lost = accuracy.lost(standard)
    if abs(lost) < 0.005:
        return "as its teacher"
    unit = "points" if accuracy.unit == "%" else accuracy.unit
    return f"{abs(lost):.2f} {unit} {'worse' if lost > 0 else 'better'} than its teacher"


def _faster(table: Table, line: Line) -> Segments:
    pieces: Segments = []
    for reference, speedup in zip(table.references, line.speedups, strict=True):
        if speedup is not None:
            pieces += [(" and " if pieces else ", ", False), (factor(speedup), True)]
            pieces.append((f" as fast as the {reference.label}", False))
    return pieces
