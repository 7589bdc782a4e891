"""One class per picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.preprocess import Preprocessing
from zoo.tasks.class_order import other_order_fits
from zoo.tasks.prediction import Floats, Scores, best, softmax
from zoo.tasks.task import Array, Task


class Classification(Task):
    """One class per picture. Logits [N, classes], targets int64 [N]."""

    name, metric, heading, activation = "classification", "top1", "accuracy", "Softmax"
    counted = True

    def columns(self, labels: Sequence[str]) -> npt.NDArray[np.int64]:
        """`InputError`: the classes exclude each other."""
        raise InputError(f"classes exclude each other: a specialist for {', '.join(labels[:3])} cannot be combined")

    def score(self, outputs: Floats, targets: Array) -> dict[str, float]:
        """`top1` accuracy."""
        return {"top1": float(self.right(outputs, targets).mean())}

    def right(self, outputs: Floats, targets: Array) -> npt.NDArray[np.bool_]:
        """Whose highest output is that of the target."""
        return np.asarray(outputs.argmax(axis=1) == targets)

    def check(self, outputs: Floats, targets: Array, network: str) -> None:
        """`InputError` where the classes are recognised in another order of their names, and not in this one."""
        if reason := other_order_fits(outputs.argmax(axis=1), targets, self.labels):
            raise InputError(f"{network}: {reason}")

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share of pictures with the same top-1 class."""
        return float((outputs.argmax(axis=1) == reference.argmax(axis=1)).mean())

    def phrase(self, value: float) -> str:
        """`93.10 % right`."""
        return f"{self.shown(value)} right"

    def divergence(self, outputs: Floats, reference: Floats) -> float:
        """Over the classes, the mean of all pictures."""
        wanted, given = _log_softmax(reference), _log_softmax(outputs)
        return float((np.exp(wanted) * (wanted - given)).sum(axis=1).mean())

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Scores:
        """Probabilities of the classes."""
        del preprocessing, picture
        return best(softmax(output), self.labels)


def _log_softmax(logits: Floats) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
