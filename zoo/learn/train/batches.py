"""The batches of each epoch: a function of (seed, epoch), so that a resumed run meets what a whole one met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.data import ImageSet
from zoo.data.views import Views, epoch_order
from zoo.tasks.geometry import Geometry
from zoo.tasks.learning import AnyTask

# Steps whose stored answers are fetched at once: one copy to the device for all of them, and little asked in advance.
AHEAD = 16


class Batch(NamedTuple):
    """What a student is shown. `images` uint8 [N, H, W, 3] are view `views[i]` of the training image `indices[i]`, and
    `targets` were moved with them. `answers` are the teacher's, float32 [N, outputs], where they were fetched ahead.
    """

    images: Tensor
    targets: Tensor
    labelled: Tensor
    indices: Tensor
    views: Tensor
    answers: Tensor | None = None


# Answers to some batches, known by the numbers of their images and views, int64 [steps, N] on the CPU: float32
# [steps, N, outputs] there. It may ask for the batch of a step, should it need to look at the images.
Ahead = Callable[[Tensor, Tensor, Callable[[int], Batch]], Tensor]


def onto(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, without a wait for the work that is queued there: that takes page-locked memory."""
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Batches:
    """Training batches. Images stay in memory, on the device that learns if they fit, and views are made there in
    batch: there are no workers to start, feed or resume. What a whole epoch needs to know of them goes to the device
    once, so that no step waits for it.

    With several processes each takes its own slice of every batch. `ahead` fetches a teacher's stored answers.
    """

    ahead: Ahead | None = None

    def __init__(self, images: ImageSet, views: Views, task: AnyTask, *, batch: int, steps: int, seed: int) -> None:
        self.images, self.views, self.task = images, views, task
        self.batch, self.steps, self.seed = batch, steps, seed
        self.epoch = 0
        self.slice = slice(None)
        self._pixels = torch.from_numpy(images.images)
        self._targets = torch.from_numpy(images.targets)
        self._labelled = torch.from_numpy(images.labelled)

    def to(self, device: torch.device, *, rank: int = 0, processes: int = 1) -> None:
        """Give batches on `device`, of which every `processes`-th image, from the `rank`-th on. The images are kept
        there, too, unless they take more than half of a GPU's free memory.
        """
        if device.type != "cuda" or self._pixels.nbytes < torch.cuda.mem_get_info(device)[0] // 2:
            self._pixels = self._pixels.to(device)
        self._targets, self._labelled = self._targets.to(device), self._labelled.to(device)
        self.slice = slice(rank, None, processes)

    def __len__(self) -> int:
        return self.steps

    @property
    def device(self) -> torch.device:
        """Where batches are."""
        return self._targets.device

    @property
    def whole(self) -> bool:
        """Whether images and views are made where the batches are, with nothing to be fetched from a CPU."""
        return self.views.anywhere and self._pixels.device == self.device

    def __iter__(self) -> Iterator[Batch]:
        for step, plan, there, answers in self.walk():
            batch = self._shown(plan, there, step)
            yield batch if answers is None else batch._replace(answers=answers)

    def walk(self) -> Iterator[tuple[int, EpochPlan, EpochPlan, Tensor | None]]:
        """The epoch's steps: the number of each, the plan on the CPU and on the device, and the answers that were
        fetched ahead for this step.
        """
        drawn = epoch_order(
            len(self.images), self.views.count, batch=self.batch, steps=self.steps, seed=self.seed, epoch=self.epoch
        )
        plan = EpochPlan(*(torch.from_numpy(column)[:, self.slice].contiguous() for column in drawn))
        there = EpochPlan(*(onto(column, self.device) for column in plan))
        for first in range(0, self.steps, AHEAD):
            block = slice(first, first + AHEAD)
            answers = self._fetched(plan, there, block)
            for step in range(self.steps)[block]:
                yield step, plan, there, None if answers is None else answers[step - first]

    def _fetched(self, plan: EpochPlan, there: EpochPlan, block: slice) -> Tensor | None:
        if self.ahead is None:
            return None
        answers = self.ahead(
            plan.which[block], plan.view[block], lambda step: self._shown(plan, there, block.start + step)
        )
        return onto(answers, self.device)

    def _shown(self, plan: EpochPlan, there: EpochPlan, step: int) -> Batch:
        """The batch of one step; `plan` is on the CPU and `there` the same on the device."""
        which, view = there.which[step], there.view[step]
        if self.whole:
            return self.shown(which, view)
        near = there if self.views.anywhere else plan  # where the views can be drawn
        pixels = self._pixels[(there if self._pixels.device == self.device else plan).which[step]]
        if self.views.anywhere:
            pixels = onto(pixels, self.device)
        images = onto(self.views.apply(pixels, near.view[step], near.which[step]), self.device)
        targets = self._targets[which]
        if self.task.moves:
            geometry = self.views.geometry(near.view[step], near.which[step], pixels.shape[1])
            targets = self.task.moved(targets, Geometry(*(onto(part, self.device) for part in geometry)))
        return Batch(images, targets, self._labelled[which], which, view)

    def shown(self, which: Tensor, view: Tensor) -> Batch:
        """View `view[i]` of image `which[i]`, int64 [N] each on the device, where this is `whole`."""
        pixels = self._pixels[which]
        images = self.views.apply(pixels, view, which)
        targets = self._targets[which]
        if self.task.moves:
            targets = self.task.moved(targets, self.views.geometry(view, which, pixels.shape[1]))
        return Batch(images, targets, self._labelled[which], which, view)


class EpochPlan(NamedTuple):
    """Which image and which view of it stands where: int64 [steps, N] each."""

    which: Tensor
    view: Tensor


class Fixed:
    """Images as they are, in order: what is only tested on. Whole batches of (images, targets)."""

    def __init__(self, images: ImageSet, *, batch: int = 256) -> None:
        self._pixels, self._targets = torch.from_numpy(images.images), torch.from_numpy(images.targets)
        self._batch = batch

    def __len__(self) -> int:
        return -(-len(self._pixels) // self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self._pixels.split(self._batch), self._targets.split(self._batch), strict=True)
