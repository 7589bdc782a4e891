"""What the three problems differ in once a network is trained: the meaning of its numbers and their metric. No torch.

`zoo.tasks.learning` adds what is needed to train. Nothing outside these two files asks which task it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, nearest
from zoo.preprocess import Preprocessing
from zoo.tasks.prediction import Floats, Points, Prediction, Scores, best, sigmoid, softmax

Array = npt.NDArray[Any]
TAG = 0.5  # a tag is given from this score on


@dataclass(frozen=True)
class Task:
    """A problem with its `labels` (classes, tags or point names) and the side of the square picture, in pixels.

    `metric` names the score that decides, in `unit`; `budget` is how much of it, in that unit, a graph may lose.
    """

    labels: Sequence[str]
    size: int

    name: ClassVar[str]
    metric: ClassVar[str]
    unit: ClassVar[str] = "%"
    budget: ClassVar[float] = 1.0
    output: ClassVar[str] = "logits"

    @property
    def outputs(self) -> int:
        """How many numbers the network answers with."""
        return len(self.labels)

    @property
    def names(self) -> Sequence[str]:
        """A name for each of the outputs."""
        return self.labels

    def columns(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """Which of the outputs belong to some of the labels. `InputError` for a label that is not there."""
        for label in labels:
            if label not in self.labels:
                raise InputError(f"no label '{label}'{nearest(label, self.labels)}")
        each = self.outputs // len(self.labels)
        first = np.array([self.labels.index(label) for label in labels], dtype=np.int64) * each
        return (first[:, None] + np.arange(each)).ravel()

    def score(self, outputs: Floats, targets: Array) -> dict[str, float]:
        """All scores of float32 [N, outputs] against the targets, `metric` first. Shares are 0 to 1."""
        raise NotImplementedError

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share (0 to 1) of the answers that two networks decide alike."""
        raise NotImplementedError

    def divergence(self, outputs: Floats, reference: Floats) -> float | None:
        """Mean KL divergence KL(reference || outputs) of the two distributions in nats; None where there are none."""
        del outputs, reference
        return None

    def lost(self, before: float, after: float) -> float:
        """How much worse the metric became, in `unit`; negative when it became better."""
        return 100 * (before - after)

    def shown(self, value: float) -> str:
        """The metric for a person."""
        return f"{100 * value:.2f} %"

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Prediction:
        """One picture's answer [outputs]; `picture` is the upright picture's (width, height) in pixels."""
        raise NotImplementedError


class Classification(Task):
    """One class per picture. Logits [N, classes], targets int64 [N]."""

    name, metric = "classification", "top1"

    def columns(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """`InputError`: the classes exclude each other."""
        raise InputError(f"classes exclude each other: a specialist for {', '.join(labels[:3])} cannot be combined")

    def score(self, outputs: Floats, targets: Array) -> dict[str, float]:
        """`top1` accuracy."""
        return {"top1": float((outputs.argmax(axis=1) == targets).mean())}

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share of pictures with the same top-1 class."""
        return float((outputs.argmax(axis=1) == reference.argmax(axis=1)).mean())

    def divergence(self, outputs: Floats, reference: Floats) -> float:
        """Over the classes, the mean of all pictures."""
        wanted, given = _log_softmax(reference), _log_softmax(outputs)
        return float((np.exp(wanted) * (wanted - given)).sum(axis=1).mean())

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Scores:
        """Probabilities of the classes."""
        del preprocessing, picture
        return best(softmax(output), self.labels)


class Tagging(Task):
    """Any number of tags per picture. Logits [N, tags], targets float32 [N, tags] in 0 to 1, a tag from 0.5 on."""

    name, metric = "tagging", "map"

    def score(self, outputs: Floats, targets: Array) -> dict[str, float]:
        """`map`: mean average precision over the tags that occur; `micro_f1` and `macro_f1` at a score of 0.5."""
        wanted, given = targets >= TAG, outputs >= 0
        occurs = wanted.any(axis=0)
        right, sizes = (wanted & given).sum(axis=0), wanted.sum(axis=0) + given.sum(axis=0)
        macro = (2 * right / np.maximum(sizes, 1))[occurs]
        return {
            "map": float(np.mean(_average_precision(outputs[:, occurs], wanted[:, occurs]))) if occurs.any() else 0.0,
            "micro_f1": float(2 * right.sum() / max(int(sizes.sum()), 1)),
            "macro_f1": float(macro.mean()) if occurs.any() else 0.0,
        }

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share of the (picture, tag) pairs that are decided alike at a score of 0.5."""
        near_tie = np.abs(outputs - reference) <= 1e-4  # thousands of tags: some stand at 0.5 to the last digits
        return float((((outputs >= 0) == (reference >= 0)) | near_tie).mean())

    def divergence(self, outputs: Floats, reference: Floats) -> float:
        """Of each tag's yes or no, the mean of all (picture, tag) pairs."""
        wanted, given = reference.astype(np.float64), outputs.astype(np.float64)
        yes = np.exp(-np.logaddexp(0, -wanted)) * (np.logaddexp(0, -given) - np.logaddexp(0, -wanted))
        no = np.exp(-np.logaddexp(0, wanted)) * (np.logaddexp(0, given) - np.logaddexp(0, wanted))
        return float((yes + no).mean())

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Scores:
        """Probabilities of the tags, each for itself."""
        del preprocessing, picture
        return best(sigmoid(output), self.labels)


class Keypoints(Task):
    """Named points. Answers [N, 2 points] as x0, y0, x1, ... with -1 and 1 at the picture's edges; targets float32
    alike, NaN where a point was not marked.
    """

    name, metric, unit, budget, output = "keypoints", "rmse", "px", 0.1, "points"

    @property
    def outputs(self) -> int:
        """Two for each point."""
        return 2 * len(self.labels)

    @property
    def names(self) -> Sequence[str]:
        """Two for each point: `nose_tip.x`, `nose_tip.y`."""
        return [f"{label}.{axis}" for label in self.labels for axis in "xy"]

    def score(self, outputs: Floats, targets: Array) -> dict[str, float]:
        """`rmse`: root mean squared coordinate error of all marked points, in pixels of the network's picture.

        `nme`: mean distance over the side of the square that has the marked points' bounding box's area, for pictures
        with such a box (NME_box of the face alignment literature); absent when there is none.
        """
        errors = (outputs - targets) * (self.size / 2)
        scores = {"rmse": float(np.sqrt(np.nanmean(errors**2)))}
        points = targets.reshape(len(targets), -1, 2) * (self.size / 2)
        marked = np.asarray(~np.isnan(points).any(axis=2))
        distances = np.linalg.norm(errors.reshape(points.shape), axis=2)
        shares = []
        for at, which, distance in zip(points, marked, distances, strict=True):
            side = float(np.sqrt(np.prod(np.ptp(at[which], axis=0)))) if which.sum() > 1 else 0.0
            if side > 0:
                shares.append(float(distance[which].mean()) / side)
        return scores | ({"nme": float(np.mean(shares))} if shares else {})

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share of the coordinates that are within half a pixel of each other."""
        return float((np.abs(outputs - reference) * (self.size / 2) <= 0.5).mean())

    def lost(self, before: float, after: float) -> float:
        """By how many pixels the error grew."""
        return after - before

    def shown(self, value: float) -> str:
        """The error in pixels."""
        return f"{value:.3f} px"

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Points:
        """The points in the picture that was given, whatever its size."""
        inside = (output.reshape(-1, 2) + 1) / 2 * np.array([preprocessing.width, preprocessing.height])
        return Points(preprocessing.to_picture(inside, picture) - np.float32(0.5), self.labels)


TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, Tagging, Keypoints)}


def _log_softmax(logits: Floats) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _average_precision(scores: Floats, wanted: npt.NDArray[np.bool_]) -> Floats:
    """Area under each column's precision-recall steps; equal scores count as one step, as in scikit-learn."""
    found = np.empty(scores.shape[1], dtype=np.float32)
    for column in range(scores.shape[1]):
        order = np.argsort(-scores[:, column], kind="stable")
        ranked, hits = scores[order, column], np.cumsum(wanted[order, column])
        ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        gained = np.diff(hits[ends], prepend=0)
        found[column] = (gained * hits[ends] / (ends + 1)).sum() / hits[-1]
    return found
