"""What every task says of itself once a network is trained: what its outputs mean and how they are scored. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, nearest
from zoo.preprocess import Preprocessing
from zoo.tasks.prediction import Floats, Prediction

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Task:
    """A task with its `labels` (classes, tags or point names) and the side of the square picture, `size` in pixels.

    `metric` names the score that decides, in `unit`, and `heading` is its name above a
    column where that is another one; `budget` is how much of
    it, in that unit, a graph may lose. `counted`: it is the share of the images that are right, and `right` says which.
    `output` says what the numbers are. `activation` is the ONNX operator that turns
    logits into scores of 0 to 1, empty where the outputs are no logits: bundles leave it to `decode`.

    From the network's numbers to what a person sees, and to what decides whether a graph is good enough::

        task = TASKS["classification"](["cat", "dog"], 224)
        prediction = task.decode(logits[0], preprocessing, (640, 480))  # of one picture of 640 x 480 pixels
        scores = task.score(logits, targets)  # {"top1": 0.93}
        lost = task.lost(reference["top1"], scores["top1"])  # in task.unit, to be held against task.budget
    """

    labels: Sequence[str]
    size: int

    name: ClassVar[str]
    metric: ClassVar[str]
    unit: ClassVar[str] = "%"
    budget: ClassVar[float] = 1.0
    output: ClassVar[str] = "logits"
    activation: ClassVar[str] = ""
    heading: ClassVar[str] = ""
    counted: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """How many numbers the network gives for one picture."""
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
        """All scores of float32 [N, outputs] against the N targets, `metric` first. Shares are 0 to 1."""
        raise NotImplementedError

    def check(self, outputs: Floats, targets: Array, network: str) -> None:
        """`InputError` where float32 [N, outputs] and the N targets show that the outputs have other names than
        `labels`. `network` is what the message calls it.
        """

    def right(self, outputs: Floats, targets: Array) -> npt.NDArray[np.bool_]:
        """Bool [N]: which images are right. Only of tasks whose metric is `counted`."""
        raise NotImplementedError

    def agreement(self, outputs: Floats, reference: Floats) -> float:
        """Share (0 to 1) of the decisions that are the same in both: float32 [N, outputs] each."""
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

    def phrase(self, value: float) -> str:
        """The metric with its name, for a sentence."""
        return f"{self.metric} {self.shown(value)}"

    def decode(self, output: Floats, preprocessing: Preprocessing, picture: tuple[int, int]) -> Prediction:
        """What a person sees of one picture. `output`: float32 [outputs]; `picture`: (width, height) of the upright
        picture, in pixels.
        """
        raise NotImplementedError
