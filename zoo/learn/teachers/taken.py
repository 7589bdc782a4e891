"""A teacher that is taken with its weights, as it is: which of its outputs count, and how its library feeds it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.data import DataConfig
from zoo.errors import InputError, first_line
from zoo.learn.recipe.schema import Recipe, Teacher
from zoo.learn.teachers.inputs import about_of, channels_of
from zoo.learn.teachers.outputs import Outputs, named, of_library
from zoo.models.construct import build
from zoo.models.library import HUB, IMAGENET, LIBRARIES, usual
from zoo.models.weights.key_order import under_own_names
from zoo.models.weights.packages import PACKAGE
from zoo.tasks.task import Task


@dataclass(frozen=True)
class Taken:
    """The bare network, with an output for each of the data's labels, and its own preprocessing and channels."""

    network: nn.Module
    data: DataConfig


class _Head:
    """Cuts the rows out of a classifier that belong to the data's labels. `known`: how many outputs it had."""

    def __init__(self, spec: Teacher, task: Task, size: int) -> None:
        self._spec, self._task = spec, task
        bare = spec.model_copy(update={"weights": ""})
        one, two = (build(bare, classes=task.outputs + more, size=size, device="meta").state_dict() for more in (0, 1))
        self._own = one
        self._rows = [key for key in one if one[key].shape != two[key].shape]
        self.known = task.outputs

    def __call__(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        renamed = under_own_names(state, self._own)
        counts = {len(renamed[key]) for key in self._rows if key in renamed and renamed[key].ndim}
        if not self._rows or len(counts) != 1:
            return state  # another network: what does not fit is said where its weights are taken over
        self.known = counts.pop()
        spec = self._spec
        if (about := about_of(spec)) is not None:
            outputs = named(spec.weights, self.known, about.labels)
        elif spec.model.startswith(LIBRARIES):
            outputs = of_library(spec.model, spec.weights, self.known)
        else:
            outputs = Outputs(f"{spec.model} with weights {spec.weights}", self.known, None)
        columns = outputs.columns(self._task, spec.outputs)
        if columns is None:
            return state
        rows = torch.from_numpy(columns)
        return {key: value[rows] if key in self._rows else value for key, value in renamed.items()}


def take(spec: Teacher, task: Task, recipe: Recipe) -> Taken:
    """The network of [teacher] with its weights. Side and crop are its library's where the weights are its library's,
    or where it cannot take the recipe's; a checkpoint's are its own; else the recipe's, because somebody trained them
    on other pictures.

    `InputError` when weights, outputs or size do not fit.
    """
    data = recipe.data
    head = _Head(spec, task, data.size)
    network = build(spec, classes=task.outputs, size=spec.size or data.size, pick=head).eval()
    mean, std, _ = channels_of(spec, data)
    own: dict[str, object] = {"mean": mean, "std": std, "stored": None}
    library = spec.model.startswith(LIBRARIES)
    if (about := about_of(spec)) is not None:
        if about.task != recipe.task:
            raise InputError(f"{spec.weights} learned {about.task}, and the recipe's task is {recipe.task}")
        own |= {"size": about.data.size, "resize": about.data.resize}
    elif library:
        habit = usual(spec.model)
        theirs = spec.weights in (HUB, PACKAGE) or head.known == IMAGENET
        if theirs or (spec.size is None and _problem(network, data.size)):
            own |= {"size": habit.size, "resize": habit.resize(habit.size)}
    if spec.size is not None:
        share = data.size / (data.resize or data.size)
        if library and about is None and "size" in own:
            share = usual(spec.model).crop
        own |= {"size": spec.size, "resize": max(spec.size, round(spec.size / share))}
    taken = data.model_copy(update=own)
    taken = taken.model_copy(update={"pad": min(taken.pad, taken.size - 1)})
    if problem := _problem(network, taken.size):
        raise InputError(f"{spec.model} cannot see pictures of {taken.size} pixels (teacher.size): {problem}")
    return Taken(network, taken)


def _problem(network: nn.Module, size: int) -> str:
    """Why a network cannot run on pictures of `size` pixels; '' if it can."""
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, size, size))
    except Exception as error:  # networks of libraries raise whatever their layers do
        return first_line(error)
    return ""
