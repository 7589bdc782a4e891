"""`[tool.zoo.gate]` of a TOML file: what is measured, and how much may be lost."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from bench.gate.rule import Rule
from zoo.bundle.manifest import Precision
from zoo.errors import InputError, nearest
from zoo.schemas import Strict, first_problem

DEFAULT_FILE = Path("pyproject.toml")
TABLE = "[tool.zoo.gate]"
# What to do for a candidate that was trained again.
RETRAINED = f'set answers = "accuracy" in {TABLE} of {DEFAULT_FILE}, or of the file that --config names'
Metric = Literal["time", "load", "first_call", "memory"]


class Finite(Strict):
    """A part of what the gate reads and writes: numbers that are none are refused, too."""

    model_config = ConfigDict(allow_inf_nan=False)


class Benchmark(Finite):
    """One engine at one batch size. Margins that are not given are those of the whole gate."""

    name: str | None = Field(None, min_length=1, description="default: the engine and the batch size")
    backend: str = "onnxruntime"
    precision: Precision = "fp32"
    device: str = "cpu"
    threads: int | None = Field(None, ge=1, description="null: every core that the process may use")
    batch: int = Field(1, ge=1)
    metrics: tuple[Metric, ...] = Field(("time",), min_length=1)
    tolerance: float | None = Field(None, ge=0)
    target: float | None = Field(None, gt=0)

    @property
    def title(self) -> str:
        """What it is called everywhere."""
        threads = "" if self.threads is None else f" {self.threads} thread{'s' if self.threads != 1 else ''}"
        device = "" if self.device == "cpu" else f" {self.device}"
        return self.name or f"{self.backend} {self.precision}{device}{threads} batch {self.batch}"


class GateConfig(Finite):
    """The whole table, with the defaults."""

    # 1.5 %: what two builds of the same code may differ by, because code and memory lie elsewhere. 5 %: what is worth
    # a person's time. Between the two nobody has to be right, so that no amount of noise turns one into the other.
    tolerance: float = Field(0.015, ge=0, description="FAIL: slower than this beyond doubt")
    target: float = Field(0.05, gt=0, description="PASS: slower than this is ruled out")
    alpha: float = Field(0.01, gt=0, lt=0.5, description="chance of a false alarm in the whole suite")
    beta: float = Field(0.05, gt=0, lt=0.5, description="chance of passing a slowdown of `target`, each benchmark")
    answers: Literal["same", "accuracy"] = Field(
        "same", description="same: the outputs must agree; accuracy: a retrained network, held to its accuracy alone"
    )
    # Another order of sums moves outputs by 1e-6 of their size, fp16 by 1e-3, int8 calibrated anew by a few percent;
    # a network that answers something else by tens of percent.
    difference: float = Field(0.05, ge=0, description="largest |candidate - baseline| / |baseline| of all the outputs")
    bytes: float = Field(0.01, ge=0, description="share by which the file may grow")
    parameters: float = Field(0.0, ge=0, description="share by which the parameters may grow")
    accuracy: float = Field(0.5, ge=0, description="loss allowed, in the task's unit: points, or pixels")
    sentinel: bool = Field(True, description="run the baseline beside itself in the first benchmark")
    benchmarks: tuple[Benchmark, ...] = ()

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        titles = [benchmark.title for benchmark in self.benchmarks]
        if twice := next((title for title in titles if titles.count(title) > 1), None):
            raise ValueError(f"two benchmarks are called '{twice}': give them names")
        for benchmark in self.benchmarks:
            self.rule(benchmark, 1)
        self.rule(Benchmark(), 1)
        return self

    def rule(self, benchmark: Benchmark, family: int) -> Rule:
        """The rule of one benchmark in a suite that measures `family` things."""
        tolerance = self.tolerance if benchmark.tolerance is None else benchmark.tolerance
        target = self.target if benchmark.target is None else benchmark.target
        if not tolerance < target:
            raise ValueError(f"the tolerance ({tolerance:g}) must be smaller than the target ({target:g})")
        return Rule(tolerance, target, self.alpha, self.beta, family)


def read_config(path: Path | None) -> GateConfig:
    """The table of `path`; without a path that of ./pyproject.toml if it has one, otherwise the defaults."""
    file = path or DEFAULT_FILE
    if path is None and not file.is_file():
        return GateConfig()
    try:
        raw: Any = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"no such file: {file}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no TOML: {error}") from None
    for key in ("tool", "zoo", "gate"):
        raw = raw.get(key) if isinstance(raw, dict) else None
    if raw is None:
        if path is not None:
            raise InputError(f"{file} has no table {TABLE}")
        return GateConfig()
    try:
        return GateConfig.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{file} {TABLE}: {_problem(error)}") from None


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    if first["type"] != "extra_forbidden":
        return first_problem(error)
    key = str(first["loc"][-1])
    known = (Benchmark if len(first["loc"]) > 1 else GateConfig).model_fields
    return f"unknown key '{key}'{nearest(key, known)}"
