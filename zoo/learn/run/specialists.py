"""Students that answer a part of the labels each: how the data is cut for one, and what they know together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo.data import ImageSet, Splits
from zoo.errors import InputError
from zoo.learn.teachers.base import Teacher
from zoo.learn.train.batches import Ahead, Batch
from zoo.models.checkpoint import About
from zoo.tasks.base import TASKS, Task
from zoo.tasks.prediction import Floats


class PartOfTeacher:
    """A teacher of all labels, asked for some columns of its answer."""

    def __init__(self, teacher: Teacher, columns: npt.NDArray[np.int64]) -> None:
        self._teacher, self._columns = teacher, columns
        self._there = torch.from_numpy(columns)

    def to(self, device: torch.device) -> None:
        """Be where the batches will be, as the whole teacher is if it can be anywhere."""
        self._there = self._there.to(device)
        if hasattr(self._teacher, "to"):
            self._teacher.to(device)

    def answer(self, batch: Batch) -> Tensor:
        """Float32 answers [N, columns]."""
        answers = self._teacher.answer(batch)
        if self._there.device != answers.device:  # once: a copy in every step would wait for a GPU
            self._there = self._there.to(answers.device)
        return answers.index_select(1, self._there)

    @property
    def ahead(self) -> Ahead | None:
        """The whole teacher's way to fetch stored answers, if it has one, cut likewise."""
        whole: Ahead | None = getattr(self._teacher, "ahead", None)
        if whole is None:
            return None

        def part(indices: Tensor, views: Tensor, show: Callable[[int], Batch]) -> Tensor:
            return whole(indices, views, show)[..., self._columns]

        return part


def part_of(splits: Splits, task: Task, labels: Sequence[str]) -> Splits:
    """The same images with the targets of `labels` alone. Images stay in their places: stored answers name them so."""
    columns = task.columns(labels)
    validation = splits.validation and _cut(splits.validation, columns)
    train, test = _cut(splits.train, columns), _cut(splits.test, columns)
    return replace(splits, train=train, test=test, labels=list(labels), validation=validation)


def known_part(splits: Splits, about: About) -> Splits:
    """What a checkpoint knows of the data: all of it, or a specialist's part. `InputError` when it is other data."""
    if splits.labels == about.labels:
        return splits
    if not set(about.labels) <= set(splits.labels):
        raise InputError(f"the images have other labels than {about.name}: {', '.join(splits.labels[:5])} ...")
    return part_of(splits, TASKS[about.task](splits.labels, about.data.size), about.labels)


def _cut(images: ImageSet, columns: npt.NDArray[np.int64]) -> ImageSet:
    targets = np.ascontiguousarray(images.targets[:, columns])
    return replace(images, targets=targets, labelled=images.labelled & ~np.isnan(targets).all(axis=1))


def together(task: Task, parts: Sequence[tuple[Sequence[str], Floats]]) -> Floats | None:
    """One answer [N, outputs] out of the specialists' (labels, answers), averaged where two know the same; None when
    a label has no specialist.
    """
    total = np.zeros((len(parts[0][1]), task.outputs), dtype=np.float32)
    known = np.zeros(task.outputs, dtype=np.float32)
    for labels, answers in parts:
        columns = task.columns(labels)
        total[:, columns] += answers
        known[columns] += 1
    return total / known if known.all() else None
