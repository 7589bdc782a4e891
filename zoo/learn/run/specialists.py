"""Specialists: students for a part of the labels each. How data and teacher are cut for one, and how the outputs of all
are combined.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zoo.data import ImageSet, Splits
from zoo.errors import InputError
from zoo.learn.batch import Batch
from zoo.learn.teachers.base import Teacher
from zoo.models.checkpoint import About
from zoo.tasks.prediction import Floats
from zoo.tasks.registry import TASKS
from zoo.tasks.task import Task


class SpecialistTeacher:
    """A teacher of all labels, of which a specialist learns some columns."""

    def __init__(self, teacher: Teacher, columns: npt.NDArray[np.int64]) -> None:
        """`columns`: of the whole teacher's logits, in the order of the specialist's outputs."""
        self._teacher, self._columns = teacher, columns
        self._on_device = torch.from_numpy(columns)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the whole teacher's fingerprint and the columns."""
        return hashlib.sha256(f"{self._teacher.fingerprint} {self._columns.tolist()}".encode()).hexdigest()

    def to(self, device: torch.device) -> None:
        """The whole teacher, too, goes to the device."""
        self._on_device = self._on_device.to(device)
        self._teacher.to(device)

    def prefetch(self, indices: Tensor, views: Tensor, batch_of: Callable[[int], Batch]) -> Tensor | None:
        """Float32 [steps, N, columns] on the CPU; None if the whole teacher stores nothing."""
        whole = self._teacher.prefetch(indices, views, batch_of)
        return None if whole is None else whole[..., self._columns]

    def logits(self, batch: Batch) -> Tensor:
        """Float32 [N, columns]."""
        whole = self._teacher.logits(batch)
        if self._on_device.device != whole.device:  # once: a copy in every step would wait for a GPU
            self._on_device = self._on_device.to(whole.device)
        return whole.index_select(1, self._on_device)


def specialist_splits(splits: Splits, task: Task, labels: Sequence[str]) -> Splits:
    """The same images, with the targets of `labels` alone. The order of the images stays, because soft labels on disk
    belong to an image's number.
    """
    columns = task.columns(labels)
    validation = splits.validation and _with_columns(splits.validation, columns)
    train, test = _with_columns(splits.train, columns), _with_columns(splits.test, columns)
    return replace(splits, train=train, test=test, labels=list(labels), validation=validation)


def splits_for_checkpoint(splits: Splits, about: About) -> Splits:
    """`splits` with the labels of a checkpoint: all of them, or a specialist's. `InputError` when it is other data."""
    if splits.labels == about.labels:
        return splits
    if not set(about.labels) <= set(splits.labels):
        raise InputError(f"the images have other labels than {about.name}: {', '.join(splits.labels[:5])} ...")
    return specialist_splits(splits, TASKS[about.task](splits.labels, about.data.size), about.labels)


def _with_columns(images: ImageSet, columns: npt.NDArray[np.int64]) -> ImageSet:
    targets = np.ascontiguousarray(images.targets[:, columns])
    return replace(images, targets=targets, labelled=images.labelled & ~np.isnan(targets).all(axis=1))


def combined(task: Task, parts: Sequence[tuple[Sequence[str], Floats]]) -> Floats | None:
    """The outputs of all specialists as those of one network, float32 [N, outputs]; None when a label has no
    specialist.

    `parts`: the labels of each specialist and its outputs [N, its outputs]. Where several have the same label, their
    mean is taken.
    """
    total = np.zeros((len(parts[0][1]), task.outputs), dtype=np.float32)
    specialists = np.zeros(task.outputs, dtype=np.float32)
    for labels, outputs in parts:
        columns = task.columns(labels)
        total[:, columns] += outputs
        specialists[columns] += 1
    return total / specialists if specialists.all() else None
