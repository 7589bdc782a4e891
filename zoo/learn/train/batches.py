"""The batches of each epoch: a function of (seed, epoch), so that a resumed run gets what an uninterrupted one gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.data import ImageSet
from zoo.data.views import Views, epoch_order
from zoo.learn.batch import Batch, Prefetch
from zoo.tasks.geometry import Geometry
from zoo.tasks.learning.task import LearnableTask

# Steps whose soft labels are fetched at once: one copy to the device for all of them, and little computed in advance.
PREFETCHED_STEPS = 16


class EpochOrder(NamedTuple):
    """Which image, and which view of it, stands at each place of an epoch: int64 [steps, N] each."""

    which: Tensor
    view: Tensor


class Step(NamedTuple):
    """One step of an epoch, before anything is rendered. `order` is the whole epoch's on the CPU, `on_device` the same
    on the device that learns; `teacher_logits` float32 [N, outputs] there, where they were prefetched.
    """

    number: int
    order: EpochOrder
    on_device: EpochOrder
    teacher_logits: Tensor | None


def onto(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`, without a wait for the work that is queued there: that takes page-locked memory."""
    if device.type != "cuda" or tensor.device == device:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Batches:
    """Training batches. Images stay in memory, on the device that learns if they fit, and views are rendered there in
    batch: there are no workers to start, feed or resume. The order of a whole epoch goes to the device at once, so that
    no step waits for it.

    With several processes each takes its own slice of every batch. `prefetch` is the teacher's, if there is one.
    """

    prefetch: Prefetch | None = None

    def __init__(
        self, images: ImageSet, views: Views, task: LearnableTask, *, batch: int, steps: int, seed: int
    ) -> None:
        """`batch`: images of a step, in all processes together; `steps`: of an epoch."""
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
    def renders_on_device(self) -> bool:
        """Whether images lie where the batches are, and views are drawn there: nothing comes from a CPU."""
        return self.views.anywhere and self._pixels.device == self.device

    def __iter__(self) -> Iterator[Batch]:
        for step in self.epoch_steps():
            yield self._rendered(step.order, step.on_device, step.number)._replace(teacher_logits=step.teacher_logits)

    def epoch_steps(self) -> Iterator[Step]:
        """The steps of epoch `self.epoch`, in order, with what was prefetched for each."""
        drawn = epoch_order(
            len(self.images), self.views.count, batch=self.batch, steps=self.steps, seed=self.seed, epoch=self.epoch
        )
        order = EpochOrder(*(torch.from_numpy(column)[:, self.slice].contiguous() for column in drawn))
        on_device = EpochOrder(*(onto(column, self.device) for column in order))
        for first in range(0, self.steps, PREFETCHED_STEPS):
            block = slice(first, first + PREFETCHED_STEPS)
            logits = self._prefetched(order, on_device, block)
            for number in range(self.steps)[block]:
                yield Step(number, order, on_device, None if logits is None else logits[number - first])

    def _prefetched(self, order: EpochOrder, on_device: EpochOrder, block: slice) -> Tensor | None:
        """float32 [steps of the block, N, outputs] on the device."""
        if self.prefetch is None:
            return None
        logits = self.prefetch(
            order.which[block], order.view[block], lambda step: self._rendered(order, on_device, block.start + step)
        )
        return None if logits is None else onto(logits, self.device)

    def _rendered(self, order: EpochOrder, on_device: EpochOrder, number: int) -> Batch:
        """The batch of step `number`."""
        which, view = on_device.which[number], on_device.view[number]
        if self.renders_on_device:
            return self.render(which, view)
        pixels = self._pixels[(on_device if self._pixels.device == self.device else order).which[number]]
        drawn = order
        if self.views.anywhere:
            pixels, drawn = onto(pixels, self.device), on_device
        images = onto(self.views.apply(pixels, drawn.view[number], drawn.which[number]), self.device)
        return Batch(images, self._targets_of(order, on_device, number), self._labelled[which], which, view)

    def _targets_of(self, order: EpochOrder, on_device: EpochOrder, number: int) -> Tensor:
        """The targets of step `number` on the device, moved as its views move the pixels."""
        targets = self._targets[on_device.which[number]]
        if not self.task.moves:
            return targets
        drawn = on_device if self.views.anywhere else order
        geometry = self.views.geometry(drawn.view[number], drawn.which[number], self.images.images.shape[1])
        return self.task.moved(targets, Geometry(*(onto(part, self.device) for part in geometry)))

    def render(self, which: Tensor, view: Tensor) -> Batch:
        """View `view[i]` of image `which[i]`, int64 [N] each on the device; only where this `renders_on_device`."""
        pixels = self._pixels[which]
        images = self.views.apply(pixels, view, which)
        targets = self._targets[which]
        if self.task.moves:
            targets = self.task.moved(targets, self.views.geometry(view, which, pixels.shape[1]))
        return Batch(images, targets, self._labelled[which], which, view)


class UnchangedBatches:
    """Unchanged images in order, for tests: batches of (images uint8 [N, H, W, 3], targets [N, ...])."""

    def __init__(self, images: ImageSet, *, batch: int = 256) -> None:
        self._pixels, self._targets = torch.from_numpy(images.images), torch.from_numpy(images.targets)
        self._batch = batch

    def __len__(self) -> int:
        return -(-len(self._pixels) // self._batch)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(self._pixels.split(self._batch), self._targets.split(self._batch), strict=True)
