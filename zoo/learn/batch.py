"""One training batch, as batches, teachers and learners hand it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """N views of training images, on the device that learns.

    - `images` uint8 [N, H, W, 3] RGB (float, 0 to 255, after mixup): view `views[i]` of training image `indices[i]`
    - `targets` [N, ...] as the task has them, moved with the pixels where the task's targets are places in the image
    - `labelled` bool [N]: whose label may be used
    - `indices`, `views` int64 [N]
    - `teacher_logits` float32 [N, outputs], where they were prefetched; None where the teacher is asked in the step
    """

    images: Tensor
    targets: Tensor
    labelled: Tensor
    indices: Tensor
    views: Tensor
    teacher_logits: Tensor | None = None


# `prefetch(indices, views, batch_of_step)`: logits for several steps at once, see `zoo.learn.teachers.base.Teacher`.
Prefetch = Callable[[Tensor, Tensor, Callable[[int], Batch]], Tensor | None]
