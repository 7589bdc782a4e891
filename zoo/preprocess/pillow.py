"""From a picture, however it comes, to the uint8 pixels that a network is fed. The one reference for it.

Training, calibration, engines and apps all read images through this file, so that a network meets in an app the very
pixels it was trained on:

1. JPEG is decoded at the smallest libjpeg scale whose short side is still >= the target (others in full);
2. the EXIF orientation is applied; any colour mode becomes 8-bit RGB (transparency over white, 16 bits scaled to 8);
3. the short side is resized to `resize` with Pillow's antialiased bilinear filter;
4. the centre `height` x `width` is cropped.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zoo.errors import InputError

Pixels = npt.NDArray[np.uint8]
Picture = str | PathLike[str] | bytes | Image.Image | npt.NDArray[Any]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})


@dataclass(frozen=True)
class Framing:
    """How a picture of any size becomes `height` x `width`: short side to `resize` pixels, then a centre crop."""

    resize: int
    height: int
    width: int

    @classmethod
    def square(cls, size: int) -> Framing:
        """The framing that keeps as much as a square of `size` pixels can hold."""
        return cls(size, size, size)

    def scaled(self, picture: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of a picture of that (width, height) before it is cropped."""
        width, height = picture
        scale = self.resize / min(width, height)
        return max(self.width, round(width * scale)), max(self.height, round(height * scale))

    def back(self, points: npt.NDArray[np.floating], picture: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Where points [N, 2] (x, y from the crop's left upper corner, in pixels) lie in the picture they came from."""
        width, height = self.scaled(picture)
        corner = np.array([(width - self.width) // 2, (height - self.height) // 2])
        return ((points + corner) * (np.array(picture) / [width, height])).astype(np.float32)


def read(picture: Picture, framing: Framing) -> Pixels:
    """Decode, resize and crop: uint8 [height, width, 3], RGB.

    `picture` is a path, the bytes of an image file, a PIL image, or uint8 pixels [H, W], [H, W, 1], [H, W, 3] or
    [H, W, 4]. Raises `InputError` that names the file when it cannot be decoded.
    """
    return look(picture, framing)[0]


def look(picture: Picture, framing: Framing) -> tuple[Pixels, tuple[int, int]]:
    """What `read` returns, and the (width, height) in pixels of the upright picture it was taken from."""
    name = str(picture) if isinstance(picture, str | PathLike) else "the given image"
    try:
        image, (width, height) = _open(picture, framing.resize)
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation in range(2, 9):  # Pillow copies the picture even where there is nothing to turn
            image = ImageOps.exif_transpose(image)
        lying = orientation in range(5, 9)
        return np.asarray(_frame(_rgb(image), framing)), (height, width) if lying else (width, height)
    except FileNotFoundError:
        raise InputError(f"no such image: {name}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        reason = "not an image that Pillow can read" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InputError(f"cannot read {name}: {reason}") from error


def _open(picture: Picture, at_least: int) -> tuple[Image.Image, tuple[int, int]]:
    """The image, and its full size as stored: JPEG is decoded smaller where that is enough."""
    if isinstance(picture, Image.Image):
        return picture, picture.size
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8:
            raise InputError(f"pixels must be uint8, not {picture.dtype}")
        image = Image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture)
        return image, image.size
    file = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture))
    size = file.size
    file.draft(None, (at_least, at_least))  # a no-op except for JPEG: decode small, never below the target
    return file, size


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16 bits a pixel (Pillow also opens 16-bit PNG as 32-bit "I"); "L" would clip
        wide = np.asarray(image, dtype=np.int64).clip(0, 65535)
        return Image.fromarray((wide // 257).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _frame(image: Image.Image, framing: Framing) -> Image.Image:
    size = framing.scaled(image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - framing.width) // 2, (size[1] - framing.height) // 2
    if size == (framing.width, framing.height):
        return image
    return image.crop((left, top, left + framing.width, top + framing.height))
