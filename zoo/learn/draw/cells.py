"""One cell of a grid: a picture with what was predicted for it, labels with scores below it or points on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from zoo.learn.draw.grid import Line
from zoo.learn.draw.style import INK, MARKED, POINT, RIGHT, SOFT, WRONG
from zoo.preprocess import Pixels, Preprocessing
from zoo.tasks.prediction import Floats, Points, Scores
from zoo.tasks.tagging import TAG
from zoo.tasks.task import Task

SHOWN, WEAK = 3, 0.1  # labels of one picture; the score below which only the best one is worth its line


@dataclass(frozen=True)
class LabelCell:
    """A picture, uint8 [H, W, 3], and the scores of its labels; `truth`: the labels that are right, None if unknown."""

    pixels: Pixels
    prediction: Scores
    truth: frozenset[str] | None = None

    key: ClassVar[str] = ""

    def caption(self) -> list[Line]:
        """The best labels with their scores: right ones are ticked, wrong predictions are crossed. Then the right
        labels that are not among them.
        """
        best = self.prediction.top(SHOWN)
        top = [(label, score) for label, score in best if score >= WEAK or self._predicted(label, score)]
        lines = [self._line(label, score) for label, score in top]
        missed = sorted((self.truth or frozenset()) - {label for label, _ in top})
        if missed:
            more = f" +{len(missed) - 1}" if missed[1:] else ""
            lines.append((f"missed: {short(missed[0], 18)}{more}", SOFT))
        return lines

    def _predicted(self, label: str, score: float) -> bool:
        return score >= TAG or label == self.prediction.label

    def _line(self, label: str, score: float) -> Line:
        text = f"{short(label, 20)} {100 * score:.0f} %"
        if self.truth is None:
            return text, INK if self._predicted(label, score) else SOFT
        if label in self.truth:
            return f"✓ {text}", RIGHT
        return (f"✗ {text}", WRONG) if self._predicted(label, score) else (text, SOFT)

    def draw_on(self, axes: Axes) -> None:
        """Draws nothing: labels stand in the caption."""


@dataclass(frozen=True)
class PointCell:
    """A picture, uint8 [H, W, 3], and the points predicted on it, in its pixels; `truth`: the marked points, NaN where
    one was not marked, None if unknown.
    """

    pixels: Pixels
    prediction: Points
    truth: Points | None = None

    @property
    def key(self) -> str:
        """What the signs on the picture and the number below it mean."""
        return "+ predicted" + ("" if self.truth is None else "   ○ marked   mean distance below")

    def caption(self) -> list[Line]:
        """How far the points are from the marked ones, in pixels of the picture."""
        if self.truth is None or np.isnan(self.truth.points).all():
            return []
        off = np.linalg.norm(self.prediction.points - self.truth.points, axis=1)
        return [(f"{np.nanmean(off):.2f} px", SOFT)]

    def draw_on(self, axes: Axes) -> None:
        """A plus for each point, a ring for each marked one, and what lies between them."""
        points = self.prediction.points
        edge: dict[str, Any] = {"path_effects": [withStroke(linewidth=1.8, foreground=f"{INK}80")]}  # on light skin
        if self.truth is not None:
            marked = self.truth.points
            axes.plot(*np.stack([points, marked]).transpose(2, 0, 1), color=MARKED, lw=0.7, **edge)
            axes.plot(*marked.T, "o", ms=6, mfc="none", mec=MARKED, mew=0.9, **edge)
        axes.plot(*points.T, "+", ms=5, mec=POINT, mew=1.2, **edge)


Cell = LabelCell | PointCell


def cell_of(task: Task, pixels: Pixels, output: Floats, target: npt.NDArray[Any] | None = None) -> Cell:
    """The cell of a square picture, uint8 [side, side, 3], from the network's `output` for it, float32 [outputs], and
    the `target` that `zoo.data` has for it, if any.
    """
    side = len(pixels)
    seen = Preprocessing.square(side), (side, side)
    prediction = task.decode(output, *seen)
    if isinstance(prediction, Points):
        return PointCell(pixels, prediction, None if target is None else cast(Points, task.decode(target, *seen)))
    return LabelCell(pixels, cast(Scores, prediction), None if target is None else _right(target, task.labels))


def _right(target: npt.NDArray[Any], labels: Sequence[str]) -> frozenset[str]:
    """The labels of a target: the number of a class, or a score for each tag."""
    which = target[None] if target.ndim == 0 else np.flatnonzero(target >= TAG)
    return frozenset(labels[number] for number in which.tolist())


def short(label: str, most: int) -> str:
    """The label, cut to at most `most` letters."""
    return label if len(label) <= most else f"{label[: most - 1]}…"
