"""What an app gets for one picture: labels with scores, or points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Prediction(Protocol):
    """What an app gets for one picture, of any task."""

    def text(self, count: int) -> str:
        """One line for a person, with at most `count` entries where the prediction is a ranking."""
        ...

    def as_dict(self, count: int) -> dict[str, Any]:
        """The same as data."""
        ...


@dataclass(frozen=True)
class Scores:
    """`label` with its `score` (0 to 1), and all `scores` [labels] in label order.

    Scores of classes sum to 1; those of tags are independent of each other.
    """

    label: str
    score: float
    scores: Floats
    labels: Sequence[str]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The `count` best (label, score) pairs, best first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.labels[i], float(self.scores[i])) for i in order]

    def text(self, count: int) -> str:
        """`label 98.1 %, ...`, best first."""
        return ", ".join(f"{label} {100 * score:.1f} %" for label, score in self.top(count))

    def as_dict(self, count: int) -> dict[str, Any]:
        """`top`: a list of `label` and `score`, best first."""
        return {"top": [{"label": label, "score": score} for label, score in self.top(count)]}


@dataclass(frozen=True)
class Points:
    """`points` float32 [names, 2]: x and y in pixels of the upright picture, the centre of its first pixel at 0, 0."""

    points: Floats
    names: Sequence[str]

    def text(self, count: int) -> str:
        """`name (x, y), ...`: all of them, in the network's order."""
        del count  # points are no ranking
        return ", ".join(f"{name} ({x:.1f}, {y:.1f})" for name, (x, y) in zip(self.names, self.points, strict=True))

    def as_dict(self, count: int) -> dict[str, Any]:
        """`points`: name to [x, y]."""
        del count
        return {"points": {name: [float(x), float(y)] for name, (x, y) in zip(self.names, self.points, strict=True)}}


def best(scores: Floats, labels: Sequence[str]) -> Scores:
    """`Scores` whose label is the highest of `scores`."""
    first = int(scores.argmax())
    return Scores(labels[first], float(scores[first]), scores, labels)


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e^-x) of each number, without overflow at either end."""
    return np.exp(-np.logaddexp(np.float32(0), -logits))
