"""Views: indexed augmentations. The same index gives the same pixels, today and in the next run.

Because a view is a number, a teacher's answer to it can be stored under (image, view) and read by every later student:
the labels stay exactly those that an online teacher would give under the same augmentation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class CropFlip:
    """Pad by `pad` black pixels, crop at (dy, dx), mirror or not: (2 pad + 1)^2 views, twice that with `flip`.

    `pad=4, flip=True` is CIFAR's usual augmentation, in 162 views.
    """

    pad: int
    flip: bool

    @property
    def count(self) -> int:
        """How many views an image has."""
        return (2 * self.pad + 1) ** 2 * (2 if self.flip else 1)

    @property
    def fingerprint(self) -> str:
        """What a teacher's stored answers belong to: equal fingerprints, equal pixels."""
        return f"crop-flip/1 pad={self.pad} flip={self.flip}"

    def index(self, dy: int, dx: int, mirrored: bool = False) -> int:
        """The view that moves the picture by (dy, dx), each in -pad..pad."""
        side = 2 * self.pad + 1
        crop = (self.pad - dy) * side + (self.pad - dx)
        return crop * 2 + mirrored if self.flip else crop

    def apply(self, images: Tensor, views: Tensor) -> Tensor:
        """View `views[i]` of each image: uint8 [N, H, W, 3] and int64 [N] -> uint8 [N, H, W, 3], on their device."""
        count, height, width, _ = images.shape
        side = 2 * self.pad + 1
        crop, mirrored = (views // 2, views % 2) if self.flip else (views, torch.zeros_like(views))
        rows = torch.arange(height, device=images.device) + (crop // side)[:, None]
        across = torch.arange(width, device=images.device).expand(count, width)
        columns = torch.where(mirrored[:, None] == 1, across.flip(1), across) + (crop % side)[:, None]
        padded = F.pad(images, (0, 0, self.pad, self.pad, self.pad, self.pad))
        which = torch.arange(count, device=images.device)
        return padded[which[:, None, None], rows[:, :, None], columns[:, None, :]]


def epoch_plan(
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
