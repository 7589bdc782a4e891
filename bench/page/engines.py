"""The table of engines: its columns in the order in which they are asked for, its filters, and what a row opens to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.page import layers, rounds
from bench.page.charts.section import Spec
from bench.page.energy import joules
from bench.page.start import row_of
from bench.results import Row
from bench.show.table import Line, Table
from bench.show.text import NOTHING, Column, columns, count, milliseconds, percent, rate, size

# The first columns are what a phone shows before anybody scrolls.
ORDER = ("p50_ms", "accuracy", "speedup_0", "speedup_1", "images_per_second", "p90_ms", "of_limit")
ELSEWHERE = ("macs",)  # columns of the terminal's table that the page has no room for: its sizes show them
HIGHER = ("accuracy", "images_per_second", "speedup", "of_limit")  # keys for which more is better
FILTERS = ("role", "precision", "backend")


@dataclass(frozen=True)
class Shown:
    """A line of the table. `key`: unique on the page; `facts`: what its row opens to, beside the measurements."""

    key: str
    line: Line
    role: str
    shipped: bool
    charts: dict[str, Spec]
    facts: list[tuple[str, str]]

    @property
    def search(self) -> str:
        """What the text filter looks at."""
        line = self.line
        return f"{line.model} {self.role} {line.how}".lower()


def shown(table: Table, shipped: Line | None, prefix: str) -> list[Shown]:
    """The lines, the fastest first; those that were not measured stand last."""
    lines = sorted(table.lines, key=lambda line: (line.p50_ms is None, line.p50_ms or 0))
    return [_shown(line, shipped, f"{prefix}-line{place}") for place, line in enumerate(lines)]


def _shown(line: Line, shipped: Line | None, key: str) -> Shown:
    charts: dict[str, Spec] = {}
    for row in line.rows:
        if row.timing:
            charts[f"{key}-rounds{row.batch}"] = {"like": "rounds", "datasets": rounds.datasets(row.timing)}
    if layered := layers.layered(line):
        charts[f"{key}-layers"] = {"like": "layers", **layers.data(layers.shown(layered)[0])}
    return Shown(key, line, line.role or "model", line is shipped, charts, facts(line))


def arranged(table: Table) -> list[Column]:
    """The columns that hold anything, in the page's order."""
    one, many = table.latency_batch, table.throughput_batch
    found = [
        *columns(table),
        Column("first_answer_ms", "load + first call", lambda line: _wait(line, one), milliseconds),
        Column("joules", f"energy an image, batch\u00a0{many}", lambda line: _spent(line, many), joules),
    ]
    place = {key: number for number, key in enumerate(ORDER)}
    found.sort(key=lambda column: place.get(column.key, len(ORDER)))
    kept = [column for column in found if column.key not in ELSEWHERE]
    return [column for column in kept if any(column.value(line) is not None for line in table.lines)]


def first_direction(column: Column) -> str:
    """Which way a column is sorted when it is first asked for: the best on top."""
    return "descending" if column.key.startswith(HIGHER) else "ascending"


def _wait(line: Line, batch: int) -> float | None:
    begun = row_of(line, batch).start
    return begun.load_ms + begun.first_call_ms if begun else None


def _spent(line: Line, batch: int) -> float | None:
    row = next((row for row in line.rows if row.batch == batch), None)
    return row.energy.joules_per_image if row and row.energy else None


def filters(lines: Sequence[Shown]) -> list[tuple[str, list[str]]]:
    """(what, its values) of each filter that has a choice."""
    values: dict[str, list[str]] = {
        "role": [one.role for one in lines],
        "precision": [one.line.engine.precision for one in lines],
        "backend": [one.line.engine.backend for one in lines],
    }
    return [(name, sorted(set(values[name]))) for name in FILTERS if len(set(values[name])) > 1]


def facts(line: Line) -> list[tuple[str, str]]:
    """What is known of a line besides its times, as (name, value)."""
    found: list[tuple[str, str]] = []
    first = line.rows[0]
    if first.accuracy:
        found.append((first.accuracy.metric, f"{first.accuracy.shown} of {first.accuracy.images:,} images"))
    if line.variant:
        found.append(("variant", line.variant))
    for row in line.rows:
        found += [(f"{name}, batch {row.batch}", value) for name, value in _row_facts(row)]
    found += [(name.replace("_", " "), value) for name, value in line.engine.versions.items()]
    return found


def _row_facts(row: Row) -> list[tuple[str, str]]:
    found = []
    if row.start:
        found.append(("load", milliseconds(row.start.load_ms)))
        found.append(("first call", milliseconds(row.start.first_call_ms)))
    if row.saturation:
        levels = (f"{rate(level.images_per_second)}/s with {level.streams}" for level in row.saturation)
        found.append(("callers at once", ", ".join(levels)))
    if row.energy:
        joule = row.energy.joules_per_image
        found.append(("energy", f"not measured: {row.energy.reason}" if joule is None else f"{joules(joule)} an image"))
    if row.gpu:
        found.append(("GPU", ", ".join(_gpu(row))))
    if row.peak_memory:
        found.append(("peak memory", size(row.peak_memory)))
    if row.limit and row.timing:
        share = percent(row.limit.floor_ms / row.timing.p50_ms)
        work = f"{count(row.limit.flops)} operations, {size(row.limit.bytes)}"
        found.append(("limit", f"{milliseconds(row.limit.floor_ms)} by {row.limit.bound} ({work}); {share} reached"))
    return found


def _gpu(row: Row) -> list[str]:
    gpu = row.gpu
    if gpu is None:
        return []
    found = [gpu.name]
    if gpu.memory is not None:
        found.append(size(gpu.memory))
    if gpu.power_state:
        found.append(gpu.power_state)
    if gpu.sm_mhz:
        found.append(f"{gpu.sm_mhz[0]:g} to {gpu.sm_mhz[1]:g} MHz")
    if gpu.busy:
        found.append(f"used by others for {gpu.busy} % of the time before")
    return [*found, f"slowed down by {', '.join(gpu.throttle)}" if gpu.throttle else "not slowed down"]


MEASURED = (
    "batch",
    "p50",
    "95 % interval",
    "p90",
    "p95",
    "p99",
    "mean",
    "spread",
    "images/s",
    "rounds",
    "warm-up",
    "stopped",
)


def measured(row: Row) -> list[str]:
    """The cells of a row under `MEASURED`; empty when there is no timing."""
    timing = row.timing
    if timing is None:
        return []
    interval = timing.p50_interval_ms
    thrown_away = f", {timing.thrown_away} thrown away" if timing.thrown_away else ""
    return [
        str(row.batch),
        milliseconds(timing.p50_ms),
        f"{milliseconds(interval[0])} to {milliseconds(interval[1])}" if interval else NOTHING,
        milliseconds(timing.p90_ms),
        NOTHING if timing.p95_ms is None else milliseconds(timing.p95_ms),
        NOTHING if timing.p99_ms is None else milliseconds(timing.p99_ms),
        milliseconds(timing.mean_ms),
        NOTHING if timing.spread is None else percent(timing.spread),
        rate(timing.images_per_second),
        f"{len(timing.rounds_ns)} × {len(timing.rounds_ns[0])}{thrown_away}",
        str(timing.warmup_calls),
        timing.stop,
    ]
