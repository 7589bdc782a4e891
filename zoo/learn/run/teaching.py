"""The teacher of a run: found, opened, fed in its own way and matched with the data's labels, and scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo.data import ImageSet
from zoo.errors import InputError
from zoo.files import write_text
from zoo.learn.batch import Batch
from zoo.learn.recipe.schema import Recipe
from zoo.learn.recipe.schema import Teacher as Spec
from zoo.learn.run.environment import first_process
from zoo.learn.run.specialists import SpecialistTeacher
from zoo.learn.teachers.base import Teacher
from zoo.learn.teachers.inputs import (
    TeacherInput,
    channels_of,
    in_parts,
    input_of,
    numbers,
    refuse_channels,
)
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.teachers.onnx import GRAPHS, open_teacher, takes_bytes
from zoo.learn.teachers.outputs import Outputs, named, of_graph
from zoo.models import checkpoint
from zoo.models.checkpoint import About
from zoo.preprocess import Preprocessing
from zoo.progress import note
from zoo.tasks.prediction import Floats
from zoo.tasks.task import Task

RUN = "run:"
ELSEWHERE = (RUN, *GRAPHS)  # teachers that no stage of this run makes


def graph_teacher(spec: Spec, recipe: Recipe, task: Task) -> Teacher:
    """`onnx:PATH` or `bundle:PATH`, its outputs in the order of the data's labels. Prints what it is shown."""
    data = recipe.data
    own_channels = takes_bytes(spec.model)
    if own_channels:
        refuse_channels(spec, "normalises by itself")

    def shows(own: Preprocessing) -> TeacherInput:
        fed = data.model_copy(update={"size": own.height, "resize": own.resize})
        whole = spec.model.startswith("onnx:")  # such a file says nothing of a crop: it is shown all of a view
        seen = input_of(fed, spec.model_copy(update={"crop": spec.crop or (1.0 if whole else None)}), recipe)
        return TeacherInput(own.height, seen.interpolation, seen.crop)

    mean, std, origin = channels_of(spec, data)
    teacher = open_teacher(spec.model, mean=mean, std=std, size=spec.size, task=recipe.task, shows=shows)
    said = "it normalises by itself" if own_channels else f"mean {numbers(mean)}, std {numbers(std)} ({origin})"
    note(f"teacher {spec.model}: {said}; {teacher.input.describe(data.size)}")
    if teacher.labels is None:
        outputs = of_graph(spec.model, teacher.outputs)
    else:
        outputs = named(spec.model, teacher.outputs, teacher.labels)
    return _of_columns(teacher, outputs, spec, task)


def found_checkpoint(spec: Spec, recipe: Recipe) -> Path:
    """The checkpoint of `run:FOLDER`. `InputError` when it is not there or learned another task."""
    refuse_channels(spec, "has its own mean and std")
    path = checkpoint.find(spec.model.removeprefix(RUN))
    about = checkpoint.read_about(path)
    if about.task != recipe.task:
        raise InputError(f"{path} learned {about.task}, and the recipe's task is {recipe.task}")
    return path


def network_teacher(network: OnlineTeacher, about: About, spec: Spec, task: Task) -> Teacher:
    """A network's logits in the order of the data's labels; the network itself where that is its own."""
    if not spec.model.startswith(RUN):
        return network
    return _of_columns(network, named(spec.model, about.problem.outputs, about.labels), spec, task)


def describe(spec: Spec, about: About, recipe: Recipe) -> None:
    """Print how a network is fed as a teacher, where that is not as its students are."""
    data, seen = recipe.data, input_of(about.data, spec, recipe)
    if spec.train is not None and (about.data.mean, about.data.std) == (data.mean, data.std) and seen == TeacherInput():
        return
    origin = f"of {spec.model}" if spec.model.startswith(RUN) else channels_of(spec, data)[2]
    channels = f"mean {numbers(about.data.mean)}, std {numbers(about.data.std)} ({origin})"
    note(f"teacher {spec.model}: {channels}; {seen.describe(data.size)}")


def scored(teacher: Teacher, spec: Spec, task: Task, test: ImageSet, folder: Path) -> dict[str, float]:
    """The scores of a teacher from elsewhere on the test images, kept in `folder`/metrics.json with its fingerprint."""
    path, key = folder / checkpoint.METRICS, f"{teacher.fingerprint} {test.fingerprint}"
    if path.is_file():
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if known.pop("fingerprint", None) == key:
            known.pop("teacher")
            return known
    scores = task.score(_said(teacher, test), test.targets)
    if first_process():
        write_text(path, json.dumps({**scores, "teacher": spec.model, "fingerprint": key}, indent=2) + "\n")
    return scores


def compare(task: Task, teacher: float, control: float, name: str, recipe: Recipe) -> None:
    """Print one line of warning when a teacher is not better than the control `name`."""
    if task.lost(teacher, control) > 0:
        return
    line = f"the teacher ({task.phrase(teacher)}) is not better than {name} ({task.phrase(control)})"
    if recipe.data.labelled == 1:
        line += ", and every training image has its label: there is nothing to distil that the labels do not say"
    note(f"warning: {line}")


def _of_columns(teacher: Teacher, outputs: Outputs, spec: Spec, task: Task) -> Teacher:
    columns = outputs.columns(task, spec.outputs)
    return teacher if columns is None else SpecialistTeacher(teacher, columns)


def _said(teacher: Teacher, images: ImageSet) -> Floats:
    """Logits float32 [N, outputs] of the images as they are."""
    place = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    teacher.to(place)
    parts: Sequence[torch.Tensor] = in_parts(torch.from_numpy(images.images))
    said = []
    for part in parts:
        numbers_of = torch.arange(len(part))
        batch = Batch(part.to(place), numbers_of, torch.ones_like(numbers_of, dtype=torch.bool), numbers_of, numbers_of)
        said.append(teacher.logits(batch).float().cpu().numpy())
    return np.concatenate(said)
