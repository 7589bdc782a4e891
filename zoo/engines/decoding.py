"""What a network's numbers mean, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """The answer for one image: `label` with its `score`, and all `scores` [classes] in label order."""

    label: str
    score: float
    scores: Floats
    labels: Sequence[str]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The `count` best (label, score) pairs, best first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.labels[i], float(self.scores[i])) for i in order]


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def classification(logits: Floats, labels: Sequence[str]) -> Prediction:
    """Decode the logits [classes] of one image."""
    scores = softmax(logits)
    best = int(scores.argmax())
    return Prediction(labels[best], float(scores[best]), scores, labels)


DECODERS = {"classification": classification}
