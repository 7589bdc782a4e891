"""Learning curves as numbers, read from what trainings leave in `logs/metrics.csv`, finished or not."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import InputError
from zoo.tasks.registry import TASKS
from zoo.tasks.task import Task

METRICS = Path("logs") / "metrics.csv"


@dataclass(frozen=True)
class Curve:
    """One stage of a run. `loss` (training) and `score` (the task's metric on the test images) of each epoch that is
    done; `epochs` count from 1.
    """

    name: str
    role: str
    task: Task
    epochs: list[int]
    loss: list[float]
    score: list[float]

    @property
    def best(self) -> int:
        """The place in the lists of the best score, the first of equals."""
        return min(range(len(self.score)), key=lambda place: self.task.lost(0.0, self.score[place]))


def read_curves(paths: Sequence[Path]) -> list[Curve]:
    """The curves of run folders (all their stages) and of single stages. Names say as much as tells them apart.

    `InputError` when a path has no curve, or when the stages do not share a metric.
    """
    folders = list(dict.fromkeys(stage for path in paths for stage in _stages(path)))
    curves = [_read(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    if len({curve.task for curve in curves}) > 1:
        found = " and ".join(sorted({curve.task.metric for curve in curves}))
        raise InputError(f"{found} do not fit in one picture: draw the runs one by one")
    return curves


def _stages(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InputError(f"no run at {path}: give the folder of a run, or of one of its stages")
    path = path.resolve()
    found = [path] if (path / METRICS).is_file() else sorted(file.parents[1] for file in path.glob(f"*/{METRICS}"))
    if not found:
        raise InputError(f"no curves in {path}: no stage there has finished an epoch")
    return found


def _names(folders: Sequence[Path]) -> list[str]:
    """The ends of the paths, as long as it takes to tell them apart."""
    longest = max(len(folder.parts) for folder in folders)
    ends = (["/".join(folder.parts[-parts:]) for folder in folders] for parts in range(1, longest + 1))
    return next(names for names in ends if len(set(names)) == len(names))


def _read(folder: Path, name: str) -> Curve:
    path = folder / METRICS
    epochs: dict[int, tuple[float, float]] = {}  # a continued training may write an epoch again
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            task = _task(rows.fieldnames or (), path)
            for row in rows:
                if (loss := row["loss"]) and (score := row[f"test_{task.metric}"]):
                    epochs[int(row["epoch"]) + 1] = float(loss), float(score)
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is not what a training writes: {error}") from None
    if not epochs:
        raise InputError(f"{path} has no finished epoch yet")
    numbers = sorted(epochs)
    losses, scores = zip(*(epochs[number] for number in numbers), strict=True)
    return Curve(name, _role(folder.name), task, numbers, list(losses), list(scores))


def _task(columns: Sequence[str], path: Path) -> Task:
    """The task whose metric was recorded: no two share one."""
    for task in TASKS.values():
        if f"test_{task.metric}" in columns:
            return task((), 0)
    raise InputError(f"{path} has no test metric: found the columns {', '.join(columns)}")


def _role(name: str) -> str:
    """What recipes reserve these names for."""
    return "teacher" if name == "teacher" else "control" if name.endswith("-control") else "student"
