"""Where the curves of a training are written: by the names in a recipe's `train.loggers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from zoo import plugins
from zoo.errors import EnvironmentProblem
from zoo.learn.recipe.loggers import GROUP, OURS, check_loggers
from zoo.learn.train.curves import Curves


def _csv(folder: Path) -> Logger:
    """A row for each epoch in `logs/metrics.csv`, which `zoo draw` reads."""
    return Curves(folder / "logs")


def _tensorboard(folder: Path) -> Logger:
    """The same for TensorBoard, in `logs`."""
    return TensorBoardLogger(folder, name="", version="logs", default_hp_metric=False)


LOGGERS: dict[str, Callable[[Path], Logger]] = dict(zip(OURS, (_csv, _tensorboard), strict=True))


def make_loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Lightning's loggers of these names, for the network that is trained in `folder`.

    `InputError` for an unknown name, `EnvironmentProblem` for one of another package that makes no Lightning logger.
    """
    check_loggers(names)
    return [_make(name, folder) for name in names]


def _make(name: str, folder: Path) -> Logger:
    if name in LOGGERS:
        return LOGGERS[name](folder)
    entry = plugins.found(GROUP)[name]
    logger = plugins.load(entry)(folder)
    if not isinstance(logger, Logger):
        raise EnvironmentProblem(f"{entry.value}, the logger '{name}', makes no lightning.pytorch.loggers.Logger")
    return logger
