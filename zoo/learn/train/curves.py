"""The curves of a training as a CSV file: a row for each epoch. A resumed training appends to it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from zoo.files import atomic_file

FILE = "metrics.csv"


class Curves(Logger):
    """Lightning's own CSV logger deletes a file that is there; this one appends to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._file = folder / FILE

    @property
    def name(self) -> str:
        """Lightning's name of the experiment: none, the folder has it."""
        return ""

    @property
    def version(self) -> str:
        """Lightning's version of the experiment: none, a stage is trained once."""
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the run's recipe.toml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write the epoch's row. It replaces those that a stopped training wrote for this epoch and later ones."""
        row: dict[str, Any] = {"epoch": 0, "step": step, **metrics} | {"epoch": int(metrics["epoch"])}
        rows = [earlier for earlier in self._rows() if int(earlier["epoch"]) < row["epoch"]]
        columns = list(dict.fromkeys(key for known in (*rows, row) for key in known))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._file) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows([*rows, row])

    def _rows(self) -> list[dict[str, Any]]:
        if not self._file.is_file():
            return []
        with self._file.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
