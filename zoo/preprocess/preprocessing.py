"""What preprocessing takes, does and gives: the types that its two decoders share."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]  # [H, W, 3] RGB; of several pictures [N, H, W, 3]
Picture = str | PathLike[str] | bytes | Image.Image | npt.NDArray[Any]


@dataclass(frozen=True)
class Preprocessing:
    """How a picture of any size becomes `height` x `width` pixels: its short side is resized to `resize` pixels, and
    the centre is cropped.
    """

    resize: int
    height: int
    width: int

    @classmethod
    def square(cls, size: int) -> Preprocessing:
        """The largest centred square of a picture, at a side of `size` pixels."""
        return cls(size, size, size)

    def scaled(self, picture: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of a picture of that (width, height) after it is resized and before it is cropped."""
        width, height = picture
        scale = self.resize / min(width, height)
        return max(self.width, round(width * scale)), max(self.height, round(height * scale))

    def to_picture(self, points: npt.NDArray[np.floating], picture: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Points [N, 2] (x, y in pixels of the crop) in pixels of the picture of that (width, height)."""
        width, height = self.scaled(picture)
        corner = np.array([(width - self.width) // 2, (height - self.height) // 2])
        return ((points + corner) * (np.array(picture) / [width, height])).astype(np.float32)
