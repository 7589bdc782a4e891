"""Any number of tags per picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zoo.preprocess import Preprocessing
from zoo.tasks.prediction import Floats, Scores, best, sigmoid
from zoo.tasks.task import Array, Task

TAG = 0.5  # a tag is given from this score on


class Tagging(Task):
    """Any number of tags per picture. Logits [N, tags], targets float32 [N, tags] in 0 to 1, a tag from 0.5 on."""

    name, metric, activation = "tagging", "map", "Sigmoid"

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
