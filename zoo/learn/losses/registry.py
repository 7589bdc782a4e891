"""Soft losses by name, for recipes. To add one: write it in a file of its own and name that file here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from zoo import plugins
from zoo.errors import EnvironmentProblem, InputError, nearest
from zoo.learn.losses import logits, multilabel, regression
from zoo.learn.losses.logits import standardise
from zoo.learn.losses.soft_loss import SoftLoss

FILES = (logits, multilabel, regression)
GROUP = "distilzoo.losses"  # the entry points by which other packages add theirs
STANDARDISED_TEMPERATURE = 2.0  # what the authors of logit standardisation use (README at 6083e2d)

BoundLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

SOFT_LOSSES: dict[str, SoftLoss[...]] = {
    loss.name: loss
    for file in FILES
    for loss in vars(file).values()
    if isinstance(loss, SoftLoss) and loss.__module__ == file.__name__  # not one that a file imports
}


def names_for(task: str) -> list[str]:
    """The losses that a recipe of this task may name, its usual one first; those of other packages last, whose tasks
    are not known before they are used.
    """
    ours = [loss.name for loss in SOFT_LOSSES.values() if task in loss.tasks]
    return [*ours, *(name for name in plugins.found(GROUP) if name not in SOFT_LOSSES)]


def loss_named(name: str, *, standardised: bool = False) -> SoftLoss[...]:
    """The loss of that name, with the parameters and weights that are usual on logits as they are, or standardised
    (published for kd and dkd; the others keep theirs).

    `InputError` for an unknown name, and for standardised tags or values, whose size and sign carry the meaning.
    `EnvironmentProblem` for one of another package that is no soft loss.
    """
    loss = SOFT_LOSSES.get(name) or _theirs(name)
    if standardised and not loss.softmax:
        suited = ", ".join(other.name for other in SOFT_LOSSES.values() if other.softmax)
        raise InputError(f"{name} takes logits as they are, not standardised ones; {suited} take both")
    if standardised and loss.standardised_weights is not None:
        parameters = {**loss.parameters, "temperature": STANDARDISED_TEMPERATURE}
        return replace(loss, parameters=parameters, weights=loss.standardised_weights)
    return loss


def bind(name: str, parameters: Mapping[str, float], *, standardised: bool = False) -> BoundLoss:
    """The loss as a function of (student, teacher, target) with these parameters, and its usual ones for the rest.

    `InputError` for what `loss_named` refuses, an unknown parameter, or a value that is negative or, as temperature, 0.
    """
    loss = loss_named(name, standardised=standardised)
    for parameter, value in parameters.items():
        if parameter not in loss.parameters:
            known = f"it has: {', '.join(loss.parameters)}" if loss.parameters else "it has none"
            raise InputError(f"{name} has no parameter '{parameter}'; {known}{nearest(parameter, loss.parameters)}")
        if not 0 <= value < math.inf or (parameter == "temperature" and value == 0):
            least = "above" if parameter == "temperature" else "at least"
            raise InputError(f"{name}: {parameter} must be {least} 0, not {value}")
    settings = {**loss.parameters, **parameters}

    def bound(student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        if standardised:
            student, teacher = standardise(student), standardise(teacher)
        if loss.needs_target:
            return loss.function(student, teacher, target, **settings)
        return loss.function(student, teacher, **settings)

    return bound


def _theirs(name: str) -> SoftLoss[...]:
    """The loss that another package adds under this name."""
    added = plugins.found(GROUP).get(name)
    if added is None:
        known = [*SOFT_LOSSES, *plugins.found(GROUP)]
        raise InputError(f"no soft loss '{name}'; there are: {', '.join(known)}{nearest(name, known)}")
    loss = plugins.load(added)
    if not isinstance(loss, SoftLoss):
        raise EnvironmentProblem(f"{added.value}, the loss '{name}', is not described with zoo.learn.losses.soft_loss")
    return loss
