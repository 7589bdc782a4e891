"""Two results files side by side. Advisory: one process of each is no evidence about the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.gate.from_results import called, key_of, same_host, titles
from bench.gate.missing import compared
from bench.gate.receipt import Missing
from bench.gate.verdict import signed
from bench.results import Results, Row, Timing
from bench.show.text import milliseconds
from zoo.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """One row of both files, or of one alone. A time that is not there is None, and so is then `change`, a share."""

    title: str
    before_ms: float | None
    after_ms: float | None
    change: float | None
    remark: str


def compare(before: Results, after: Results) -> list[Comparison]:
    """The rows that both have, then those that are missing in `after`, then those that only `after` has.

    `InputError` for other machines, other scopes, or nothing in common.
    """
    same_host([before, after])
    scopes = [{row.scope for row in results.rows} for results in (before, after)]
    if not scopes[0] & scopes[1]:
        shown = " and ".join(", ".join(sorted(each)) or "nothing" for each in scopes)
        raise InputError(f"times of different scopes are never compared: {shown}")
    theirs = {key_of(row): row for row in before.rows}
    shared = [(theirs[key_of(row)], row) for row in after.rows if key_of(row) in theirs]
    if not shared:
        raise InputError("the two files have no row (model, engine, batch, scope) in common")
    return [_row(*rows) for rows in shared] + _one_sided(before, after)


def _one_sided(before: Results, after: Results) -> list[Comparison]:
    """The rows that only one has, each with what it may be called in the other."""
    old, new = ({key_of(row): row for row in results.rows} for results in (before, after))
    missing, _ = compared(titles([before]), titles([after]))
    gone = zip((row for key, row in old.items() if key not in new), missing, strict=True)
    come = (row for key, row in new.items() if key not in old)
    return [
        *(Comparison(_title(row), _p50(row), None, None, _missing(each)) for row, each in gone),
        *(Comparison(_title(row), None, _p50(row), None, "new: not in the first file") for row in come),
    ]


def _missing(each: Missing) -> str:
    renamed = f" (renamed to {each.renamed}?)" if each.renamed else ""
    return f"missing in the second file{renamed}"


def _title(row: Row) -> str:
    return f"{row.model} · {row.engine.text} · batch {row.batch} · {called(row)}"


def _p50(row: Row) -> float | None:
    return None if row.timing is None else row.timing.p50_ms


def _row(before: Row, after: Row) -> Comparison:
    old, new = before.timing, after.timing
    title = _title(after)
    if old is None or new is None:
        return Comparison(title, _p50(before), _p50(after), None, before.error or after.error or "")
    return Comparison(title, old.p50_ms, new.p50_ms, new.p50_ms / old.p50_ms - 1, _remark(old, new))


def _remark(before: Timing, after: Timing) -> str:
    """What the intervals say of these two processes; without raw rounds nothing is said."""
    if not (before.rounds_ns and after.rounds_ns and before.p50_interval_ms and after.p50_interval_ms):
        return "no statement: raw rounds are missing, or too few"
    if after.p50_interval_ms[0] > before.p50_interval_ms[1]:
        return "this process was slower"
    if after.p50_interval_ms[1] < before.p50_interval_ms[0]:
        return "this process was faster"
    return "no difference seen"


ADVICE = "Advisory: one process of each. For a verdict: zoo bench gate."


def text(rows: Sequence[Comparison]) -> str:
    """A table for a terminal."""
    cells = [["", "before", "after", "change", ""]]
    for row in rows:
        times = ["–" if ms is None else milliseconds(ms) for ms in (row.before_ms, row.after_ms)]
        cells.append([row.title, *times, "–" if row.change is None else signed(row.change), row.remark])
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [
        "  ".join(cell.rjust(width) if 0 < place < 4 else cell.ljust(width) for place, (cell, width) in pairs).rstrip()
        for pairs in (enumerate(zip(line, widths, strict=True)) for line in cells)
    ]
    return "\n".join([*lines, "", ADVICE]) + "\n"


def data(rows: Sequence[Comparison]) -> list[dict[str, Any]]:
    """The same as data."""
    return [
        {"row": row.title, "before_ms": row.before_ms, "after_ms": row.after_ms}
        | {"change": row.change, "remark": row.remark}
        for row in rows
    ]
