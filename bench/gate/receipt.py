"""`gate.json`: what the gate measured, raw, and what it concluded. Schema `zoo.gate/1`.

Every time of every round is kept, so that the verdict can be computed again, by this rule or another.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, PositiveInt

from bench.gate.config import Benchmark, Finite, GateConfig, Metric
from bench.host import Host
from bench.results import EngineFacts
from bench.stats import median, quantile
from zoo.errors import EnvironmentProblem
from zoo.files import write_text
from zoo.schemas import read_json

SCHEMA: Final = "zoo.gate/1"
Arm = Literal["baseline", "candidate", "sentinel"]
Round = dict[Arm, list[PositiveInt]]
# At 20 calls and more the lower quartile needs fewer of them than the median for the same certainty, and interruptions,
# which only ever add time, do not reach it.
SLOT = 0.25


class Process(Finite):
    """One process: what it cost before it was warm. Times in milliseconds, memory in bytes."""

    load_ms: float = Field(gt=0, description="from the engine's class to an engine that can be called")
    first_call_ms: float = Field(gt=0)
    peak_bytes: int = Field(gt=0, description="largest resident memory")


class Pair(Finite):
    """Fresh processes, one for each arm, that took turns in every round."""

    seconds: float = Field(gt=0, description="of the whole pair, starting the processes included")
    processes: dict[Arm, Process] = Field(description="in the order in which they were started")
    rounds: list[Round] = Field(description="nanoseconds of each call; the keys stand in the order of their turns")

    def unit(self, metric: Metric, arm: Arm = "candidate") -> float:
        """The logarithm of arm / baseline."""
        if metric == "time":
            return median([math.log(quantile(r[arm], SLOT) / quantile(r["baseline"], SLOT)) for r in self.rounds])
        fields = {"load": "load_ms", "first_call": "first_call_ms", "memory": "peak_bytes"}
        ours, theirs = self.processes[arm], self.processes["baseline"]
        return math.log(getattr(ours, fields[metric]) / getattr(theirs, fields[metric]))


class Measured(Finite):
    """One metric. Changes are shares of the baseline: 0.02 is 2 % slower, or larger."""

    metric: Metric
    verdict: Literal["pass", "fail", "inconclusive"]
    reason: str
    pairs: int
    change: float | None
    low: float | None = Field(description="FAIL when this is above `tolerance`")
    high: float | None = Field(description="PASS when this is below `target`")
    tolerance: float
    target: float


class Check(Finite):
    """Something that needs one look. `inconclusive`: an accuracy whose loss the test set is too small to show."""

    name: Literal["answers", "bytes", "parameters", "accuracy"]
    verdict: Literal["pass", "fail", "inconclusive", "not checked"]
    reason: str
    worse: float | None = Field(
        None, description="how much worse: a share of the baseline, for accuracy in the task's unit; null: not known"
    )


class Missing(Finite):
    """A benchmark of the baseline that the candidate does not have."""

    name: str
    renamed: str | None = Field(None, description="the new benchmark that it may be, under another name")
    allowed: bool = Field(False, description="whether --allow-missing says that it is meant")


class Entry(Finite):
    """One benchmark, decided. `error`: one line, when it could not be measured to the end."""

    benchmark: Benchmark
    verdict: Literal["pass", "fail", "inconclusive", "error"]
    engine: EngineFacts | None = Field(description="what really ran")
    calls: int | None = Field(description="calls in a turn")
    measured: list[Measured]
    checks: list[Check]
    sentinel: bool | None = Field(description="whether the baseline beside itself kept still; null: it was not run")
    pairs: list[Pair]
    error: str | None

    @property
    def title(self) -> str:
        """The benchmark's name."""
        return self.benchmark.title

    @property
    def seconds(self) -> float:
        """How long its pairs took."""
        return math.fsum(pair.seconds for pair in self.pairs)


class Receipt(Finite):
    """The whole of `gate.json`."""

    schema_: Literal["zoo.gate/1"] = Field(SCHEMA, alias="schema")
    created: datetime
    version: str = Field(description="of distilzoo")
    argv: list[str]
    host: Host
    baseline: str
    candidate: str
    config: GateConfig
    family: int = Field(description="how many measured things share alpha")
    injected: float = Field(
        0.0, ge=0, description="share of its time that the candidate was slowed down by, on purpose"
    )
    throttled: int | None = Field(description="times the control group stopped us for lack of CPU quota; null: unknown")
    interrupted: bool
    verdict: Literal["pass", "fail", "inconclusive", "invalid", "error"]
    reason: str
    missing: list[Missing] = Field([], description="benchmarks of the baseline that the candidate does not have")
    appeared: list[str] = Field([], description="benchmarks that the baseline does not have: nothing to compare with")
    entries: list[Entry]

    def to_json(self) -> str:
        """The text of `gate.json`: one pair a line, because the raw times are long."""
        data = self.model_dump(mode="json", by_alias=True)
        entries = data.pop("entries")
        return _object(data, "entries", [_object(entry, "pairs", _lines(entry.pop("pairs"))) for entry in entries])

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all. `EnvironmentProblem` when that is not possible."""
        save(path, self.to_json())


def _lines(values: Iterable[object]) -> list[str]:
    return [json.dumps(value, ensure_ascii=False, separators=(",", ":")) for value in values]


def _object(head: dict[str, object], key: str, values: list[str]) -> str:
    """A JSON object with one more key, whose list has one value a line."""
    start = json.dumps(head, indent=1, ensure_ascii=False).removesuffix("}").rstrip()
    return f'{start},\n "{key}": [\n' + ",\n".join(value.rstrip() for value in values) + "\n]}\n"


def save(path: Path, text: str) -> None:
    """Write a file, whole or not at all. `EnvironmentProblem` when that is not possible."""
    try:
        write_text(path, text)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def read_receipt(path: Path) -> Receipt:
    """Read and validate a gate.json; `InputError` says what is wrong with it."""
    return read_json(path, Receipt, SCHEMA, missing=f"no such receipt: {path}")
