"""The teacher's contract: what a student's training may ask of whatever teaches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from zoo.learn.batch import Batch


class Teacher(Protocol):
    """Something that gives logits for batches of views: a network, its soft labels on disk, a foreign ONNX file.

    A teacher never learns: it runs in eval mode and without gradient, and no buffer of it changes. It owns its
    normalisation and its resolution: whoever calls it hands over the pixels that the student sees, uint8 RGB (or float,
    0 to 255, after mixup).

    Call order, in each training:

    1. `to(device)` once, before the first batch.
    2. `prefetch(indices, views, batch_of)` for each block of steps, before the block's first step. What it gives are
       the logits of these steps. None: it has no store, and `logits` is called in every step.
    3. `logits(batch)` in each step for which nothing was prefetched.

    `fingerprint` may be read at any time.

    Example, a step of a student (`zoo.learn.train` is the complete one)::

        teacher: Teacher = OnlineTeacher(network, size=64)
        teacher.to(device)
        for block in blocks:                                   # indices and views of it: int64 [steps, N] on the CPU
            fetched = teacher.prefetch(block.indices, block.views, block.batch)
            for step in range(len(block.indices)):
                batch = block.batch(step)
                logits = teacher.logits(batch) if fetched is None else fetched[step].to(device)
                output = student(batch.images)                 # [N, outputs], as are the logits
                loss = kd(output, logits, temperature=4.0)
                loss.backward()
    """

    @property
    def fingerprint(self) -> str:
        """Names everything that changes the logits: weights, architecture, mean, std and size of the input. Equal
        fingerprints, equal logits for the same pixels; soft labels on disk belong to one fingerprint.
        """
        ...

    def to(self, device: torch.device) -> None:
        """Be where the batches will be. Without effect for a teacher that runs where it was opened."""
        ...

    def prefetch(self, indices: Tensor, views: Tensor, batch_of: Callable[[int], Batch]) -> Tensor | None:
        """Logits for several steps at once, float32 [steps, N, outputs] on the CPU; None from a teacher that stores
        nothing.

        `indices`, `views`: int64 [steps, N] on the CPU, the numbers of the images and of their views. `batch_of(step)`
        renders the batch of a step of this block, should the teacher have to look at the pixels.
        """
        ...

    def logits(self, batch: Batch) -> Tensor:
        """Float32 [N, outputs], on the batch's device, without gradient."""
        ...
