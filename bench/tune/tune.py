"""The work of `zoo tune`: check the logits of every kind, then measure those that may be chosen."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from bench.cases import Case
from bench.results import Row
from bench.subjects.accuracy import check
from bench.suite.collect import Collection, turns
from bench.suite.runner import measure_case
from bench.tune.candidates import Kind, Requirements, check_case, kinds, timed_cases
from bench.tune.judge import Entry, Standing, best, entry, too_inaccurate
from zoo.bundle import tuned
from zoo.bundle.tuned import Choice
from zoo.engines import Bundle
from zoo.engines.registry import backend_class
from zoo.errors import EnvironmentProblem, VerdictError
from zoo.progress import track
from zoo.tasks.registry import TASKS
from zoo.tasks.task import Task

# After the first pass only those are measured again that are within this factor of the fastest: from one
# noise regime to another the times of a machine change by some ten percent, not by half.
CLEARLY_SLOWER = 1.5


@dataclass
class Tuning:
    """What came out. `evidence`: what accuracies were taken from; `ruled_out`: kinds that were not timed, with why."""

    bundle: Bundle
    requirements: Requirements
    task: Task
    evidence: str
    entries: list[Entry] = field(default_factory=list)
    ruled_out: dict[Kind, str] = field(default_factory=dict)

    @property
    def best(self) -> Entry | None:
        """The fastest admissible entry."""
        return best(self.entries, self.requirements)


def tune(bundle: Bundle, requirements: Requirements) -> Tuning:
    """Measure the bundle's engines. `InputError` at once for labelled images that do not fit."""
    labels = bundle.labels()
    if requirements.evaluation is not None:
        check(requirements.evaluation, labels)
    task = TASKS[bundle.manifest.task](labels, bundle.manifest.input.height)
    record = bundle.manifest.accuracy
    evidence = (
        f"{record.images} images of the {record.split} split, as the bundle records it, and its self-test here"
        if requirements.evaluation is None
        else str(requirements.evaluation)
    )
    found, ruled_out = kinds(bundle, requirements.device)
    if not found:
        raise EnvironmentProblem(
            f"{bundle.path}: there is nothing to choose from: no backend that is installed, and built where it has to "
            f"be, runs on {requirements.device}"
        )
    tuning = Tuning(bundle, requirements, task, evidence, ruled_out=ruled_out)
    standings = _standings(tuning, found)
    _measure(tuning, standings)
    return tuning


def choice(tuning: Tuning) -> Choice:
    """The best entry as `zoo.load` will read it. `VerdictError` when nothing is admissible."""
    chosen = tuning.best
    if chosen is None:
        raise VerdictError(
            f"{tuning.bundle.path}: no engine loses at most {tuning.requirements.max_drop:g} {tuning.task.unit}"
            + (
                f" in {tuning.requirements.max_memory / 1e6:.0f} MB"
                if tuning.requirements.max_memory is not None
                else ""
            )
            + "; nothing was kept"
        )
    return tuned.new(
        tuning.bundle,
        created=datetime.now(UTC).replace(microsecond=0),
        aim=tuning.requirements.aim,
        backend=chosen.kind.backend,
        library=backend_class(chosen.kind.backend).library,
        precision=chosen.kind.precision,
        device=tuning.requirements.device,
        threads=chosen.threads,
        batch=chosen.batch,
        p50_ms=chosen.p50_ms,
        images_per_second=chosen.images_per_second,
        memory_bytes=chosen.memory,
        metric=tuning.task.metric,
        accuracy=chosen.standing.value,
        lost=chosen.standing.lost,
        evidence=tuning.evidence,
    )


def _standings(tuning: Tuning, found: list[Kind]) -> dict[Kind, Standing]:
    """The accuracy of every kind that runs, has the right logits and stays within the drop; others are ruled out."""
    values: dict[Kind, float] = {}
    record = tuning.bundle.manifest.accuracy
    with track("checking logits", len(found)) as advance:
        for kind in found:
            row = _one(check_case(tuning.bundle, kind, tuning.requirements))
            advance()
            if row.error is not None:
                tuning.ruled_out[kind] = row.error
            elif row.accuracy is not None:
                values[kind] = row.accuracy.value
            elif kind.precision in record.graphs:
                values[kind] = record.graphs[kind.precision]
            else:
                tuning.ruled_out[kind] = "the bundle has no record of its accuracy: give --evaluate labelled images"
    standard = _standard(tuning, values)
    standings = {kind: Standing(value, tuning.task.lost(standard, value)) for kind, value in values.items()}
    for kind, standing in list(standings.items()):
        if why := too_inaccurate(standing, tuning.requirements, tuning.task.unit):
            tuning.ruled_out[kind] = why
            del standings[kind]
    return standings


def _standard(tuning: Tuning, values: dict[Kind, float]) -> float:
    """What a drop is counted from: fp32 on the same images; torch's, as recorded, where there is no fp32 graph."""
    fp32 = [value for kind, value in values.items() if kind.precision == "fp32"]
    return fp32[0] if fp32 else tuning.bundle.manifest.accuracy.torch


def _one(case: Case) -> Row:
    rows: list[Row] = []
    measure_case(case, rows)
    return rows[0]


def _measure(tuning: Tuning, standings: dict[Kind, Standing]) -> None:
    """Time every kind that is left, in interleaved passes, and write down what it comes to."""
    requirements = tuning.requirements
    cases = [(kind, case) for kind in standings for case in timed_cases(tuning.bundle, kind, requirements)]
    found = Collection([case for _, case in cases])
    with track("measuring", len(cases) * requirements.passes) as advance:
        for place, case in turns(
            found, requirements.passes, lambda found, place: _contends(found, place, requirements)
        ):
            rows: list[Row] = []
            with track(f"{case.title}, {case.threads} threads", 1, quiet_log=True):
                measure_case(case, rows)
            found.add(place, rows)
            advance()
    for place, (kind, case) in enumerate(cases):
        for row in found.of(place):
            if row.error is not None:
                tuning.ruled_out[kind] = f"{row.error} ({case.threads} threads, batch {row.batch})"
            else:
                tuning.entries.append(entry(kind, row, standings[kind], requirements))


def _contends(found: Collection, place: int, requirements: Requirements) -> bool:
    """Whether a case may still be the fastest, or its memory already rules it out."""
    rows = {number: _allowed(found.of(number), requirements) for number in range(len(found.cases))}
    fastest = max((_speed(row, requirements) for some in rows.values() for row in some), default=0.0)
    return any(_speed(row, requirements) * CLEARLY_SLOWER >= fastest for row in rows[place])


def _allowed(rows: list[Row], requirements: Requirements) -> list[Row]:
    return [row for row in rows if row.timing is not None and requirements.allows(row.peak_memory or 0)]


def _speed(row: Row, requirements: Requirements) -> float:
    return requirements.speed(row.timing.p50_ms, row.timing.images_per_second) if row.timing else 0.0
