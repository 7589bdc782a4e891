"""What trainings that differ in seed and method reached: one line for each network and method, over all seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import InputError
from zoo.learn.losses.soft_part import name_of
from zoo.learn.recipe.schema import Recipe, load_recipe
from zoo.learn.run.run import RECIPE
from zoo.models import checkpoint
from zoo.tasks.learning.registry import TASKS

CONTROL = "-control"


@dataclass(frozen=True)
class Trained:
    """One checkpoint of a run."""

    network: str
    method: str
    seed: int
    metric: str
    score: float
    epochs: int | None
    seconds: float | None
    checkpoint: Path


@dataclass(frozen=True)
class Line:
    """A network and a method, over its seeds; `shown` is their mean, and with several their standard deviation."""

    network: str
    method: str
    trained: tuple[Trained, ...]
    shown: str

    @property
    def seconds(self) -> float | None:
        """The median of the trainings' times."""
        times = [one.seconds for one in self.trained if one.seconds is not None]
        return statistics.median(times) if times else None

    def as_dict(self) -> dict[str, Any]:
        """The line as data, every seed's score in it."""
        return {
            "network": self.network,
            "method": self.method,
            "metric": self.trained[0].metric,
            "scores": {str(one.seed): one.score for one in self.trained},
            "shown": self.shown,
            "epochs": self.trained[0].epochs,
            "seconds": self.seconds,
            "checkpoints": [str(one.checkpoint) for one in self.trained],
        }


def scores(runs: Sequence[Path]) -> list[Line]:
    """Every trained network of these run folders, by network and method.

    `InputError` for a folder that holds no run, when nothing was trained, when a network was trained twice with one
    method and seed, and when one was trained for another number of epochs in another run: they cannot share a line.
    """
    found: dict[tuple[str, str], list[Trained]] = {}
    problem = None
    for folder in runs:
        recipe = _recipe(folder)
        for path in sorted(folder.glob(f"*/{checkpoint.FILE}")):
            about = checkpoint.read_about(path)
            problem = about.problem
            one = _trained(path, about, _method(about.role, recipe), recipe.seed)
            line = found.setdefault((one.network, one.method), [])
            for other in line:
                if other.seed == one.seed:
                    raise InputError(f"{path} and {other.checkpoint} are the same training twice")
                if other.epochs != one.epochs:
                    raise InputError(f"{path} had {one.epochs} epochs, {other.checkpoint} {other.epochs}")
            line.append(one)
    if problem is None:
        raise InputError("nothing was trained in these folders yet")
    return [
        Line(network, method, tuple(trained), _shown(trained, problem)) for (network, method), trained in found.items()
    ]


def table(lines: Sequence[Line]) -> str:
    """Networks down, methods across, as a Markdown table; then the training times in the same shape."""
    networks = list(dict.fromkeys(line.network for line in lines))
    methods = list(dict.fromkeys(line.method for line in lines))
    at = {(line.network, line.method): line for line in lines}
    heading = [f"| | {' | '.join(methods)} |", f"|:--|{'--:|' * len(methods)}"]

    def rows(cell: Any) -> list[str]:
        return [f"| {name} | {' | '.join(cell(at.get((name, method))) for method in methods)} |" for name in networks]

    metric = lines[0].trained[0].metric
    seeds = max(len(line.trained) for line in lines)
    about = f"{metric}, last epoch" + (f", mean ± standard deviation of up to {seeds} seeds" if seeds > 1 else "")
    parts = [about, "", *heading, *rows(lambda line: line.shown if line else "–")]
    if any(line.seconds is not None for line in lines):
        times = rows(lambda line: f"{line.seconds:,.0f}" if line and line.seconds is not None else "–")
        parts += ["", "Training, seconds (median):", "", *heading, *times]
    return "\n".join(parts) + "\n"


def _recipe(folder: Path) -> Recipe:
    written = folder / RECIPE
    if not written.is_file():
        raise InputError(f"{folder} holds no run: there is no {RECIPE}")
    return load_recipe(str(written))


def _method(role: str, recipe: Recipe) -> str:
    """control, teacher, or what a student learned by."""
    if role != "student":
        return role
    distill = recipe.distill
    words = [name_of(TASKS[recipe.task]((), 0), distill)]
    words += ["standardised"] if distill.standardise else []
    return " + ".join(dict.fromkeys([", ".join(words), *(hint.loss for hint in distill.hints)]))


def _trained(path: Path, about: checkpoint.About, method: str, seed: int) -> Trained:
    written = path.parent / checkpoint.METRICS
    metrics = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
    metric = about.problem.metric
    return Trained(
        network=about.name.removesuffix(CONTROL),
        method=method,
        seed=seed,
        metric=metric,
        score=about.metrics[metric],
        epochs=metrics.get("epochs"),
        seconds=metrics.get("seconds"),
        checkpoint=path,
    )


def _shown(trained: Sequence[Trained], problem: Any) -> str:
    values = [one.score for one in trained]
    mean = problem.shown(statistics.mean(values))
    if len(values) == 1:
        return str(mean)
    spread = abs(problem.lost(0, statistics.stdev(values)))  # in the unit of what is shown: points, or pixels
    return f"{mean} ± {spread:.2f}"
