"""A teacher's soft labels, read from disk; what is not there yet is computed by the teacher once, and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zoo.data import ImageSet
from zoo.data.views import Views
from zoo.learn.batch import Batch
from zoo.learn.teachers.base import Teacher
from zoo.learn.teachers.soft_labels import Numbers, SoftLabels
from zoo.progress import track


@dataclass(frozen=True)
class Tally:
    """How many rows of logits were computed by the teacher (`asked`), in how many seconds, and how many were read from
    the store instead (`reused`).
    """

    asked: int = 0
    reused: int = 0
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.asked + other.asked, self.reused + other.reused, self.seconds + other.seconds)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.asked - other.asked, self.reused - other.reused, self.seconds - other.seconds)

    def as_dict(self) -> dict[str, float]:
        """The three numbers by name."""
        return {"asked": self.asked, "reused": self.reused, "seconds": round(self.seconds, 2)}


class CachedTeacher:
    """Logits from `SoftLabels`, filled by `online` on demand.

    All logits pass through the store's fp16, computed just now or long ago, and are computed in full precision, so that
    training does not depend on what happened to be stored before.
    """

    def __init__(self, online: Teacher, store: SoftLabels, *, originals: Tensor | None = None) -> None:
        """`originals`: all images without augmentation, uint8 [images, H, W, 3], for a store that has one view of each:
        every view of an image then gets the logits of the image itself.
        """
        self.online, self.store, self._originals = online, store, originals
        self.tally = Tally()

    @property
    def fingerprint(self) -> str:
        """The online teacher's, and how much of its logits the store keeps."""
        views = "every view" if self._originals is None else "originals"
        return f"{self.online.fingerprint} fp16 top={self.store.top} {views}"

    def to(self, device: torch.device) -> None:
        """Nothing yet: a full store needs no network on the GPU. It follows a batch when something is missing."""

    def prefetch(self, indices: Tensor, views: Tensor, batch_of: Callable[[int], Batch]) -> Tensor:
        """Logits of several steps, float32 [steps, N, outputs] on the CPU. What is missing is computed batch by batch,
        so that it does not depend on how many steps are fetched at once.
        """
        views = self._stored_as(views)
        if self.store.has(indices.flatten().numpy(), views.flatten().numpy()).all():
            self.tally += Tally(reused=indices.numel())
        else:
            for step, (which, seen) in enumerate(zip(indices, views, strict=True)):
                self._fill(which.numpy(), seen.numpy(), lambda step=step: batch_of(step))  # type: ignore[misc]
        logits = torch.from_numpy(self.store.get(indices.flatten().numpy(), views.flatten().numpy()))
        return logits.view(*indices.shape, -1)

    def logits(self, batch: Batch) -> Tensor:
        """Float32 [N, outputs]."""
        indices, views = batch.indices.cpu(), self._stored_as(batch.views.cpu())
        self._fill(indices.numpy(), views.numpy(), lambda: batch)
        return torch.from_numpy(self.store.get(indices.numpy(), views.numpy())).to(batch.images.device)

    def fill(self, images: ImageSet, views: Views, *, batch: int) -> None:
        """Compute and store the logits of every view of every image, `batch` at a time, so that no later training needs
        the network. On the GPU if there is one. It goes on where an earlier call stopped.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        pixels, targets = torch.from_numpy(images.images), torch.from_numpy(images.targets)
        with track("computing soft labels", views.count * len(images)) as advance:
            for view in range(views.count):
                for part in torch.arange(len(images)).split(batch):
                    which = part[~torch.from_numpy(self.store.has(part.numpy(), torch.full_like(part, view).numpy()))]
                    if len(which):
                        seen, every = torch.full_like(which, view), torch.ones_like(which, dtype=torch.bool)
                        rendered = views.apply(pixels[which].to(device), seen, which)
                        self.logits(Batch(rendered, targets[which], every, which, seen))
                    advance(len(part))

    def _stored_as(self, views: Tensor) -> Tensor:
        """The numbers under which the logits of these views are kept."""
        return views if self._originals is None else torch.zeros_like(views)

    def _fill(self, indices: Numbers, views: Numbers, batch_of: Callable[[], Batch]) -> None:
        """Compute what is not in the store; `batch_of` renders the whole batch, and is called only if it is needed."""
        missing = np.flatnonzero(~self.store.has(indices, views))
        seconds = 0.0
        if len(missing):
            began = time.perf_counter()
            batch = batch_of()
            if self._originals is not None:
                batch = batch._replace(images=self._originals[torch.from_numpy(indices)].to(batch.images.device))
            chosen = torch.from_numpy(missing).to(batch.images.device)
            images, targets, labelled, *_ = batch
            numbers = batch.indices.to(chosen.device), batch.views.to(chosen.device)
            part = Batch(*(column[chosen] for column in (images, targets, labelled, *numbers)))
            with torch.autocast(batch.images.device.type, enabled=False):
                logits = self.online.logits(part)
            self.store.put(indices[missing], views[missing], logits.cpu().numpy())
            seconds = time.perf_counter() - began
        self.tally += Tally(len(missing), len(indices) - len(missing), seconds)
