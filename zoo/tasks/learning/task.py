"""What every task says of itself while a network learns: its hard loss, and what a view does to its targets."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zoo.tasks.geometry import Geometry
from zoo.tasks.task import Task


class LearnableTask(Task):
    """A task with its hard loss. A class of its own mixes this with the task's half that needs no torch.

    `blends`: whether two images with their targets may be mixed into one (mixup, cutmix, label smoothing). `softmax`:
    whether its logits become probabilities that sum to 1. `moves`: whether a view moves its targets.

    A training step shows views to the student and then asks, in this order::

        targets = task.moved(targets, geometry) if task.moves else targets
        loss = task.hard(student(images), targets, labelled, smoothing=0.1)
    """

    blends: ClassVar[bool] = True
    softmax: ClassVar[bool] = False
    moves: ClassVar[bool] = False

    def hard(self, output: Tensor, targets: Tensor, labelled: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """The loss against the labels, float32 []: averaged over the images of which bool [N] `labelled` says that
        their label may be used, zero when there is none.

        `output`: what the student says, [N, outputs] in any precision. `smoothing`: share of the target (0 to 1) that
        is spread evenly over everything else.
        """
        raise NotImplementedError

    def moved(self, targets: Tensor, geometry: Geometry) -> Tensor:
        """The targets of views, in the shape of `targets`; the same ones where no view `moves` them."""
        del geometry
        return targets


def over(losses: Tensor, labelled: Tensor) -> Tensor:
    """Mean of `losses` [N] over the labelled images; zero when there is none."""
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)
