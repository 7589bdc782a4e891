"""Seeded views, for large images: random crops, mirrored, in other colours, each drawn anew from its number alone.

Because nothing but (seed, image, view) decides, a view can be made again in any order, batch or process: what a student
is shown is what its teacher saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.data.config import DataConfig
from zoo.data.views import CropFlip, Views
from zoo.tasks.geometry import Geometry

TRIES = 10
NUMBERS = 2 * TRIES + 9  # areas, ratios; top, left, mirrored; three factors and their order
CONTRAST, SATURATION = 1, 2  # places of the factors; brightness is 0


def views_of(config: DataConfig) -> Views:
    """The augmentation that a recipe asks for. Its seed is not the recipe's: trainings by other seeds choose among the
    same views, and share their teacher's soft labels.
    """
    if config.augment == "shift":
        return CropFlip(config.pad, config.flip)
    return SeededCrop(config.views, config.size, config.scale, config.ratio, config.flip, config.jitter)


class Drawn(NamedTuple):
    """What N views are: `boxes` int64 [N, 4] (top, left, height, width in pixels), `mirrored` bool [N], and `factors`
    float64 [N, 3] of brightness, contrast and saturation, in the `order` int64 [N, 3] in which they are changed.
    """

    boxes: Tensor
    mirrored: Tensor
    factors: Tensor
    order: Tensor


@dataclass(frozen=True)
class SeededCrop:
    """`count` views of each square image: a part of it as torchvision's RandomResizedCrop(size, scale, ratio) draws it,
    mirrored with a chance of one half, its colours changed as ColorJitter(jitter, jitter, jitter) does.

    Szegedy et al. 2015 (arXiv:1409.4842); pytorch/vision, torchvision/transforms/transforms.py.
    """

    count: int
    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    jitter: float = 0.0
    seed: int = 0
    anywhere: ClassVar[bool] = False  # numpy's generator draws them

    @property
    def fingerprint(self) -> str:
        """What a teacher's soft labels on disk belong to. A GPU's pixels may differ from a CPU's by
        one level of 255.
        """
        return (
            f"seeded-crop/1 seed={self.seed} size={self.size} scale={self.scale} ratio={self.ratio} "
            f"flip={self.flip} jitter={self.jitter}"
        )

    def apply(self, images: Tensor, views: Tensor, indices: Tensor) -> Tensor:
        """uint8 [N, side, side, 3] -> uint8 [N, size, size, 3], cut out and resized by antialiased bilinear."""
        drawn = self.draw(views, indices, images.shape[1])
        planes = images.permute(0, 3, 1, 2)
        if planes.device.type != "cpu":
            planes = planes.float()  # only the CPU resizes uint8 as it is
        parts = [
            F.interpolate(
                planes[i : i + 1, :, top : top + height, left : left + width],
                size=(self.size, self.size),
                mode="bilinear",
                antialias=True,
            )
            for i, (top, left, height, width) in enumerate(drawn.boxes.tolist())
        ]
        seen = torch.cat(parts).round().to(torch.uint8).permute(0, 2, 3, 1)
        seen[drawn.mirrored] = seen[drawn.mirrored].flip(2)
        return jittered(seen, drawn.factors, drawn.order) if self.jitter else seen

    def geometry(self, views: Tensor, indices: Tensor, size: int) -> Geometry:
        """What `apply` does to points of pictures with a side of `size` pixels; what was cut off lies beyond 1."""
        drawn = self.draw(views, indices, size)
        corner, side = drawn.boxes[:, [1, 0]].float(), drawn.boxes[:, [3, 2]].float()
        scale, offset = size / side, (size - 2 * corner) / side - 1
        return Geometry(scale, offset, drawn.mirrored).to(views.device)

    def draw(self, views: Tensor, indices: Tensor, side: int) -> Drawn:
        """What the views are for pictures with a side of `side` pixels."""
        numbers = self._numbers(views, indices)
        areas, ratios, place, mirror, colours, ranks = np.split(numbers, np.cumsum([TRIES, TRIES, 2, 1, 3]), axis=1)
        area = side**2 * _between(*self.scale, areas)
        ratio = np.exp(_between(np.log(self.ratio[0]), np.log(self.ratio[1]), ratios))
        sides = np.rint(np.sqrt([area / ratio, area * ratio])).astype(np.int64)  # [2, N, TRIES]: heights, widths
        sides = np.append(sides, np.full((2, len(numbers), 1), side), axis=2)  # if none fits: the whole picture
        first = ((sides > 0) & (sides <= side)).all(axis=0).argmax(axis=1)
        extent = sides[:, np.arange(len(numbers)), first].T
        corner = (place * (side - extent + 1)).astype(np.int64)
        factors = _between(max(0.0, 1 - self.jitter), 1 + self.jitter, colours)
        return Drawn(
            torch.from_numpy(np.concatenate([corner, extent], axis=1)),
            torch.from_numpy((mirror[:, 0] < 0.5) & self.flip),
            torch.from_numpy(factors),
            torch.from_numpy(ranks.argsort(axis=1)),
        )

    def _numbers(self, views: Tensor, indices: Tensor) -> npt.NDArray[np.float64]:
        """[N, NUMBERS] in [0, 1), from a counter-based generator (Philox, Salmon et al. 2011) that is set to the place
        of each view. Its raw numbers are the same in every version of numpy.
        """
        generator = np.random.Philox(key=self.seed)
        state = generator.state
        raw = np.empty((len(views), NUMBERS), dtype=np.uint64)
        for row, image, view in zip(raw, indices.tolist(), views.tolist(), strict=True):
            state["state"]["counter"] = np.array([0, view, image, 0], dtype=np.uint64)
            generator.state = state
            row[:] = generator.random_raw(NUMBERS)
        return np.asarray((raw >> np.uint64(11)) * 2.0**-53)


def jittered(images: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Change brightness, contrast and saturation of uint8 [N, H, W, 3] by `factors` [N, 3] in each image's own `order`
    [N, 3]. Equal to torchvision's functional adjust_*, but for many images at once.
    """
    pixels = images.permute(0, 3, 1, 2).float().contiguous()
    for step in order.T:
        factor = factors.gather(1, step[:, None])[:, :, None, None]
        keep, add = factor.float().to(images.device), (1 - factor).float().to(images.device)
        what = step.to(images.device)[:, None, None]
        red, green, blue = pixels.unbind(1)
        grey = (0.2989 * red).add_(0.587 * green).add_(0.114 * blue).floor_()
        # Sums of whole numbers are exact: the same pixels in every batch and on every device.
        mean = (grey.sum((1, 2), dtype=torch.int64) / grey[0].numel())[:, None, None]
        other = torch.where(what == SATURATION, grey, torch.where(what == CONTRAST, mean, 0.0))[:, None]
        pixels = pixels.mul_(keep).add_(add * other).clamp_(0, 255).floor_()
    return pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _between(low: float, high: float, share: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return low + (high - low) * share
