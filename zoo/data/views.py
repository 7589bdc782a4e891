"""Views: indexed augmentations. The same index gives the same pixels, today and in the next run.

Because a view is a number, a teacher's logits for it can be stored under (image, view) and read by every later student:
the labels stay exactly those that an online teacher would give under the same augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.tasks.geometry import Geometry


class Views(Protocol):
    """A set of views. View `views[i]` of the image that is number `indices[i]` of its set is the same pixels always,
    whatever else is in the batch. Both are int64 [N], on any device.
    """

    @property
    def anywhere(self) -> bool:
        """Whether `views` and `indices` may lie on any device, a GPU included; if not they must be on the CPU."""
        ...

    @property
    def count(self) -> int:
        """How many views an image has."""
        ...

    @property
    def fingerprint(self) -> str:
        """What a teacher's soft labels on disk belong to: equal fingerprints, equal pixels."""
        ...

    def apply(self, images: Tensor, views: Tensor, indices: Tensor) -> Tensor:
        """uint8 [N, side, side, 3] -> what the network sees of them, uint8 [N, H, W, 3] on the images' device."""
        ...

    def geometry(self, views: Tensor, indices: Tensor, size: int) -> Geometry:
        """What `apply` does to points of pictures with a side of `size` pixels, on the device of `views`."""
        ...


@dataclass(frozen=True)
class CropFlip:
    """Pad by `pad` black pixels, crop at (dy, dx), mirror or not: (2 pad + 1)^2 views, twice that with `flip`.

    `pad=4, flip=True` is CIFAR's usual augmentation, in 162 views.
    """

    pad: int
    flip: bool
    anywhere: ClassVar[bool] = True

    @property
    def count(self) -> int:
        """How many views an image has."""
        return (2 * self.pad + 1) ** 2 * (2 if self.flip else 1)

    @property
    def fingerprint(self) -> str:
        """What a teacher's soft labels on disk belong to: equal fingerprints, equal pixels."""
        return f"crop-flip/1 pad={self.pad} flip={self.flip}"

    def index(self, dy: int, dx: int, mirrored: bool = False) -> int:
        """The view that moves the picture by (dy, dx), each in -pad..pad."""
        side = 2 * self.pad + 1
        crop = (self.pad - dy) * side + (self.pad - dx)
        return crop * 2 + mirrored if self.flip else crop

    def apply(self, images: Tensor, views: Tensor, indices: Tensor | None = None) -> Tensor:
        """uint8 [N, H, W, 3] -> uint8 [N, H, W, 3]. Every image has the same views, whatever its number."""
        del indices
        views = views.to(images.device)
        count, height, width, _ = images.shape
        side = 2 * self.pad + 1
        crop, mirrored = (views // 2, views % 2) if self.flip else (views, torch.zeros_like(views))
        rows = torch.arange(height, device=images.device) + (crop // side)[:, None]
        across = torch.arange(width, device=images.device).expand(count, width)
        columns = torch.where(mirrored[:, None] == 1, across.flip(1), across) + (crop % side)[:, None]
        padded = F.pad(images, (0, 0, self.pad, self.pad, self.pad, self.pad))
        which = torch.arange(count, device=images.device)
        return padded[which[:, None, None], rows[:, :, None], columns[:, None, :]]

    def geometry(self, views: Tensor, indices: Tensor | None, size: int) -> Geometry:
        """What `apply` does to points of pictures with a side of `size` pixels."""
        del indices
        side = 2 * self.pad + 1
        crop, mirrored = (
            (views // 2, views % 2 == 1) if self.flip else (views, torch.zeros_like(views, dtype=torch.bool))
        )
        shift = self.pad - torch.stack([crop % side, crop // side], dim=1)
        return Geometry(torch.ones_like(shift), shift * (2 / size), mirrored)


def epoch_order(
    images: int, views: int, *, batch: int, steps: int, seed: int, epoch: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which image and which view stands where in one epoch: two int64 [steps, batch].

    A function of (seed, epoch) alone, so that a resumed run meets the same batches. Images are drawn without
    replacement, in as many shuffled passes as the steps need.
    """
    random = np.random.default_rng((seed, epoch))
    needed = steps * batch
    passes = -(-needed // images)
    order = np.concatenate([random.permutation(images) for _ in range(passes)])[:needed]
    return order.reshape(steps, batch), random.integers(views, size=(steps, batch))
