"""The part of a student's loss that its teacher's answers give."""

from __future__ import annotations

from typing import NamedTuple

from zoo.errors import InputError
from zoo.learn.losses.registry import BoundLoss, SoftLoss, bind, soft_loss
from zoo.learn.recipe.schema import Distillation
from zoo.tasks.learning import AnyTask


class SoftPart(NamedTuple):
    """A soft loss as a recipe wants it: the function `between` answers, and the weights of hard and soft."""

    loss: SoftLoss
    between: BoundLoss
    weights: tuple[float, float]


def soft_part(task: AnyTask, distill: Distillation) -> SoftPart:
    """The recipe's soft loss. `InputError` for a name or a parameter that it cannot have."""
    name = distill.loss or task.losses[0]
    if name not in task.losses:
        raise InputError(f"distill.loss '{name}' is not for {task.name}, which has: {', '.join(task.losses)}")
    parameters = dict(distill.parameters)
    if distill.temperature is not None:
        parameters["temperature"] = distill.temperature
    bound = bind(name, parameters, standardised=distill.standardise)
    loss = soft_loss(name, standardised=distill.standardise)
    share = distill.lambda_
    return SoftPart(loss, bound, (1 - share, share) if share is not None else distill.weights or loss.weights)
