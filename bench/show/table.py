"""The one pivot of a results file: a line for each (model, engine), as terminal, README and page show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.cases import EAGER, Role, Variant, is_engine
from bench.results import Accuracy, EngineFacts, Results, Row

LATENCY_BATCH = 1
THROUGHPUT_BATCH = 32
ROLE_ORDER: list[Role | None] = ["teacher", "control", "student", None]


@dataclass(frozen=True)
class Line:
    """One (model, engine). None: not measured, or not known.

    `of_limit`: the floor of a call at the latency batch as a share of its p50. `settled`: p50's interval was narrow
    enough before time was up. `speedups` stand beside `Table.references`.
    """

    model: str
    role: Role | None
    group: str | None
    engine: EngineFacts
    scope: str
    accuracy: Accuracy | None
    parameters: int | None
    macs: int | None
    bytes_on_disk: int | None
    p50_ms: float | None
    p90_ms: float | None
    of_limit: float | None
    images_per_second: float | None
    settled: bool
    speedups: tuple[float | None, ...]
    error: str | None
    rows: tuple[Row, ...]

    @property
    def title(self) -> str:
        """Model and engine, for charts."""
        variant = f" {self.variant}" if self.variant else ""
        return f"{self.model} · {self.engine.backend} {self.engine.precision}{variant}"

    @property
    def how(self) -> str:
        """The engine with its device and threads, and the variant, if it is one."""
        return ", ".join(filter(None, (self.engine.text, self.variant)))

    @property
    def variant(self) -> Variant | None:
        """The way of calling, where it is not the plain one."""
        return self.rows[0].variant


@dataclass(frozen=True)
class Reference:
    """A teacher's row that others are compared with: `p50_ms` in `scope` at the table's latency batch."""

    label: str
    scope: str
    p50_ms: float


@dataclass(frozen=True)
class Table:
    """Lines, ordered by role and group; latency is at `latency_batch`, throughput at `throughput_batch`."""

    lines: tuple[Line, ...]
    references: tuple[Reference, ...]
    latency_batch: int
    throughput_batch: int


def pivot(results: Results) -> Table:
    """Fold the rows of one results file, which is one host's, or of one scope of it (`Results.only`).

    Latency is taken at batch 1, throughput at batch 32; a file without these batches gives its smallest and largest.
    Speed-ups compare rows of the same scope and batch only.
    """
    batches = {row.batch for row in results.rows}
    latency_batch = LATENCY_BATCH if LATENCY_BATCH in batches else min(batches, default=LATENCY_BATCH)
    throughput_batch = THROUGHPUT_BATCH if THROUGHPUT_BATCH in batches else max(batches, default=THROUGHPUT_BATCH)
    references = tuple(_references([row for row in results.rows if row.batch == latency_batch]))
    folded: dict[tuple[object, ...], list[Row]] = {}
    for row in results.rows:
        folded.setdefault(_key(row), []).append(row)
    lines = [_line(rows, references, latency_batch, throughput_batch) for rows in folded.values()]
    return Table(tuple(sorted(lines, key=_order)), references, latency_batch, throughput_batch)


def _key(row: Row) -> tuple[object, ...]:
    engine = row.engine
    return row.model, row.role, engine.backend, engine.precision, engine.device, engine.threads, row.scope, row.variant


def _line(rows: list[Row], references: tuple[Reference, ...], latency_batch: int, throughput_batch: int) -> Line:
    known = next((row for row in rows if row.timing), rows[0])
    timings = {row.batch: row.timing for row in rows if row.timing}
    latency, throughput = timings.get(latency_batch), timings.get(throughput_batch)
    return Line(
        model=known.model,
        role=known.role,
        group=known.group,
        engine=known.engine,
        scope=known.scope,
        accuracy=known.accuracy,
        parameters=known.parameters,
        macs=known.macs,
        bytes_on_disk=known.bytes_on_disk,
        p50_ms=latency.p50_ms if latency else None,
        p90_ms=latency.p90_ms if latency else None,
        of_limit=next((_of_limit(row) for row in rows if row.batch == latency_batch), None),
        images_per_second=throughput.images_per_second if throughput else None,
        settled=latency is None or latency.stop == "converged",
        speedups=tuple(
            reference.p50_ms / latency.p50_ms if latency and reference.scope == known.scope else None
            for reference in references
        ),
        error=next((row.error for row in rows if row.error), None),
        rows=tuple(rows),
    )


def _of_limit(row: Row) -> float | None:
    return row.limit.floor_ms / row.timing.p50_ms if row.limit and row.timing else None


def _references(rows: Iterable[Row]) -> Iterable[Reference]:
    """Each teacher twice: as its owner runs it today, and in the fastest of its own engines."""
    teachers: dict[tuple[str, str], list[tuple[float, Row]]] = {}
    for row in rows:
        if row.role == "teacher" and row.timing:
            teachers.setdefault((row.scope, row.model), []).append((row.timing.p50_ms, row))
    several = len({model for _, model in teachers}) > 1
    for (scope, model), timed in teachers.items():
        name, owner = (model, f"{model}'s") if several else ("teacher", "teacher's")
        eager = [p50 for p50, row in timed if row.engine.backend == EAGER]
        compiled = [p50 for p50, row in timed if is_engine(row.engine.backend)]
        if eager:
            yield Reference(f"eager {name}", scope, min(eager))
        if compiled:
            yield Reference(f"{owner} best engine", scope, min(compiled))


def _order(line: Line) -> tuple[object, ...]:
    """Teachers first, eager before compiled; then each student after its control; engines by name."""
    engine = line.engine
    return (
        line.role != "teacher",
        line.group or line.model,
        ROLE_ORDER.index(line.role),
        line.model,
        engine.backend != EAGER,
        engine.backend,
        engine.precision,
        engine.threads or 0,
    )
