"""The part of a student's loss that its teacher gives."""

from __future__ import annotations

from typing import NamedTuple

from zoo.errors import InputError, nearest
from zoo.learn.losses.registry import BoundLoss, bind, loss_named, names_for
from zoo.learn.losses.soft_loss import SoftLoss
from zoo.learn.recipe.schema import Distillation
from zoo.tasks.task import Task


class SoftPart(NamedTuple):
    """A soft loss as a recipe wants it: `between` (student, teacher, target) -> loss; `weights` of hard and soft."""

    loss: SoftLoss[...]
    between: BoundLoss
    weights: tuple[float, float]


def name_of(task: Task, distill: Distillation) -> str:
    """The soft loss that a recipe means: the one that it names, or the task's usual one.

    `InputError` for one that does not compare what the task's networks say.
    """
    known = names_for(task.name)
    name = distill.loss or (known[0] if known else "")
    if not name:
        raise InputError(f"no soft loss is for {task.name}: its students learn from labels alone")
    if name not in known or task.name not in loss_named(name).tasks:
        fits = [other for other in known if other != name]
        hint = nearest(name, fits)
        raise InputError(f"distill.loss '{name}' is not for {task.name}, which has: {', '.join(fits)}{hint}")
    return name


def soft_part(task: Task, distill: Distillation) -> SoftPart:
    """The recipe's soft loss. `InputError` for a name or a parameter that it cannot have."""
    name = name_of(task, distill)
    parameters = dict(distill.parameters)
    if distill.temperature is not None:
        parameters["temperature"] = distill.temperature
    bound = bind(name, parameters, standardised=distill.standardise)
    loss = loss_named(name, standardised=distill.standardise)
    share = distill.lambda_
    return SoftPart(loss, bound, (1 - share, share) if share is not None else distill.weights or loss.weights)
