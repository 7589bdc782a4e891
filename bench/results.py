"""`results.json`: what was measured, raw. Schema `zoo.bench/1`.

One row is (model, engine, batch, scope). Every call's time is kept, so that any other statistic, or a gate, can be
computed later from the same file. Unknown keys are refused, as in a bundle's manifest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from bench.cases import SCOPES, Case, Role, Scope, Variant
from bench.evidence import Ceilings, Embedded, Energy, Gpu, Layer, Limit, Saturation, Start
from bench.host import Host
from bench.stats import median, median_interval, quantile, spread
from zoo.bundle.manifest import Executed
from zoo.engines.backend import Runnable
from zoo.errors import EnvironmentProblem
from zoo.files import write_text
from zoo.schemas import Strict, read_json
from zoo.tasks.registry import TASKS, TaskName
from zoo.tasks.task import Task

SCHEMA: Final = "zoo.bench/1"
StopReason = Literal["converged", "noise settled", "time limit"]
MIN_CALLS_FOR_P99 = 662  # MLPerf LoadGen's floor: with fewer calls no statement about a 99 % quantile is sound
NS_PER_MS = 1e6


class EngineFacts(Strict):
    """What ran; in a row with an error, what was asked for."""

    backend: str
    precision: Executed
    device: str
    threads: int | None = Field(description="null: the library's own choice, or a row with an error and every core")
    versions: dict[str, str]

    @classmethod
    def of(cls, backend: Runnable, precision: Executed) -> EngineFacts:
        """What a loaded backend says of itself."""
        return cls(
            backend=backend.name,
            precision=precision,
            device=backend.device,
            threads=backend.threads,
            versions={name: str(value) for name, value in backend.versions().items()},
        )

    @classmethod
    def asked(cls, case: Case) -> EngineFacts:
        """What a case asks for, where nothing that was loaded can say what ran."""
        return cls(
            backend=case.backend, precision=case.precision, device=case.device, threads=case.threads, versions={}
        )

    @property
    def text(self) -> str:
        """The engine as the table writes it."""
        threads = "" if self.threads is None else f", {self.threads} thread{'s' if self.threads != 1 else ''}"
        device = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.backend} {self.precision}{device}{threads}"


class Accuracy(Strict):
    """The task's metric of exactly this engine. Shares are 0 to 1, errors in pixels."""

    task: TaskName
    metric: str
    value: float = Field(ge=0)
    images: int = Field(gt=0)

    @property
    def _means(self) -> Task:
        return TASKS[self.task]((), 0)

    @property
    def shown(self) -> str:
        """The metric for a person."""
        return self.write(self.value)

    @property
    def heading(self) -> str:
        """The metric's name above a column."""
        return self._means.heading or self.metric

    @property
    def phrase(self) -> str:
        """The metric with its name, for a sentence."""
        return self._means.phrase(self.value)

    @property
    def write(self) -> Callable[[float], str]:
        """How any value of this metric is written."""
        return self._means.shown

    @property
    def height(self) -> float:
        """Where it stands in a plot, in `unit`."""
        return abs(self._means.lost(0, self.value))

    @property
    def rank(self) -> float:
        """Lower is better."""
        return self._means.lost(0, self.value)

    @property
    def unit(self) -> str:
        """% or px."""
        return self._means.unit

    @property
    def budget(self) -> float:
        """How much, in `unit`, a teacher may lose on its way to a product: what `zoo export` gives to int8, too."""
        return self._means.budget

    @property
    def counted(self) -> bool:
        """Whether it is the share of the images that are right."""
        return self._means.counted

    def lost(self, standard: Accuracy) -> float:
        """How much worse than `standard` this is, in `unit`."""
        return self._means.lost(standard.value, self.value)


class Timing(Strict):
    """The times of one row, in milliseconds for one call (one batch)."""

    model_config = ConfigDict(allow_inf_nan=False)

    p50_ms: float = Field(gt=0, description="median of the rounds' medians, which is what `p50_interval_ms` is about")
    p90_ms: float = Field(gt=0, description="of all calls")
    p95_ms: float | None = Field(None, gt=0, description="of all calls; null in a file of an older version")
    p99_ms: float | None = Field(gt=0, description=f"of all calls; null with fewer than {MIN_CALLS_FOR_P99} of them")
    mean_ms: float = Field(gt=0, description="of all calls")
    spread: float | None = Field(None, ge=0, description="interquartile range of the rounds' medians as a share of p50")
    images_per_second: float = Field(gt=0, description="images answered / time spent in calls, one call at a time")
    p50_interval_ms: tuple[float, float] | None = Field(description="95 %; null with fewer than 6 rounds")
    stop: StopReason
    warmup_calls: int = Field(ge=0)
    thrown_away: int = Field(0, ge=0, description="rounds in which the clock jumped; they are in no other number")
    rounds_ns: list[list[int]] = Field(description="every call's time in nanoseconds, round by round")

    @classmethod
    def of(
        cls, rounds_ns: list[list[int]], *, batch: int, stop: StopReason, warmup_calls: int, thrown_away: int = 0
    ) -> Self:
        """All statistics of some rounds; each round must hold at least one call."""
        medians = [median(calls) for calls in rounds_ns]
        calls = [call for calls in rounds_ns for call in calls]
        interval = median_interval(medians)
        return cls(
            p50_ms=median(medians) / NS_PER_MS,
            p90_ms=quantile(calls, 0.9) / NS_PER_MS,
            p95_ms=quantile(calls, 0.95) / NS_PER_MS,
            spread=spread(medians),
            p99_ms=quantile(calls, 0.99) / NS_PER_MS if len(calls) >= MIN_CALLS_FOR_P99 else None,
            mean_ms=sum(calls) / len(calls) / NS_PER_MS,
            images_per_second=batch * len(calls) / (sum(calls) / 1e9),
            p50_interval_ms=interval and (interval[0] / NS_PER_MS, interval[1] / NS_PER_MS),
            stop=stop,
            warmup_calls=warmup_calls,
            thrown_away=thrown_away,
            rounds_ns=rounds_ns,
        )

    def joined(self, other: Self, *, batch: int, width: float) -> Self:
        """Both as one measurement of the same engine: all rounds of either process, and whether p50 is settled."""
        rounds = self.rounds_ns + other.rounds_ns
        interval = median_interval([median(calls) for calls in rounds])
        settled = interval is not None and interval[1] - interval[0] <= width * median([median(c) for c in rounds])
        stop: StopReason = "converged" if settled else "time limit"
        return self.of(
            rounds,
            batch=batch,
            stop=stop,
            warmup_calls=self.warmup_calls + other.warmup_calls,
            thrown_away=self.thrown_away + other.thrown_away,
        )

    @property
    def calls_ms(self) -> list[float]:
        """Every call's time in milliseconds, in the order of the calls."""
        return [call / NS_PER_MS for calls in self.rounds_ns for call in calls]


class Row(Strict):
    """One (model, engine, batch, scope): its timing, or the reason why there is none."""

    model: str
    role: Role | None
    group: str | None = Field(description="what a control and its student have in common: the student's name")
    engine: EngineFacts
    batch: int = Field(gt=0)
    scope: Scope
    accuracy: Accuracy | None = Field(description="null: not measured")
    parameters: int | None
    macs: int | None = Field(description="multiply-accumulates for one image")
    bytes_on_disk: int | None = Field(description="of the file that this engine loads: a graph or a checkpoint")
    peak_memory: int | None = Field(None, description="of the measuring process, in bytes; null beside an accuracy")
    top: list[int] | None = Field(None, description="scope image: the highest output for each photo, in their order")
    variant: Variant | None = Field(None, description="a way of calling that differs from the plain one")
    start: Start | None = Field(None, description="null: the process had answered before, at another batch size")
    saturation: list[Saturation] = Field([], description="by the number of callers")
    energy: Energy | None = None
    gpu: Gpu | None = Field(None, description="null: measured on a CPU")
    limit: Limit | None = Field(None, description="null: the graph is not known, or the machine's ceilings")
    layers: list[Layer] | None = Field(None, description="null: not asked for, or the backend does not say")
    embedded: Embedded | None = Field(None, description="rows of libzoo: what it adds to its backend")
    command: str = Field(description="measures this row again")
    timing: Timing | None
    error: str | None = Field(description="one line; set if and only if `timing` is null")

    @classmethod
    def of(cls, case: Case, batch: int, engine: EngineFacts, **found: Any) -> Self:
        """The row of one batch size of `case`: what the case says of it, and the fields that were `found`.

        Every row is made here: of an engine of ours, of libzoo's loop, and of a case that failed.
        """
        unknown = dict.fromkeys(("accuracy", "parameters", "macs", "bytes_on_disk", "timing", "error"))
        return cls(
            model=case.name,
            role=case.role,
            group=case.group,
            engine=engine,
            batch=batch,
            scope=case.scope,
            variant=case.variant,
            command=case.command(),
            **(unknown | found),
        )

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.timing is None) == (self.error is None):
            raise ValueError("a row has either a timing or an error")
        return self


class Results(Strict):
    """The whole of `results.json`."""

    schema_: Literal["zoo.bench/1"] = Field(SCHEMA, alias="schema")
    created: datetime
    version: str = Field(description="of distilzoo")
    argv: list[str] = Field(description="the command line of the suite")
    host: Host
    ceilings: Ceilings | None = Field(None, description="null: `zoo bench roofline` was not run on this host")
    rows: list[Row]

    @property
    def scopes(self) -> list[Scope]:
        """The scopes of the rows. Times of different scopes never share a table."""
        return [scope for scope in SCOPES if any(row.scope == scope for row in self.rows)]

    def only(self, scope: Scope) -> Results:
        """The rows of one scope."""
        return self.model_copy(update={"rows": [row for row in self.rows if row.scope == scope]})

    def to_json(self) -> str:
        """The text of `results.json`: one row a line, because the raw times are long."""
        data = self.model_dump(mode="json", by_alias=True)
        rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in data.pop("rows"))
        head = json.dumps(data, indent=1, ensure_ascii=False)
        return f'{head.removesuffix("}").rstrip()},\n "rows": [\n{rows}\n]}}\n'

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. `EnvironmentProblem` when that is not possible."""
        try:
            write_text(path, self.to_json())
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def read_results(path: str | Path) -> Results:
    """Read and validate a results file; `InputError` says what is wrong with it."""
    return read_json(Path(path), Results, SCHEMA, missing=f"no such results: {path}")
