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
from PIL import Image, ImageOps, UnidentifiedImageError

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


def read(picture: Picture, framing: Framing) -> Pixels:
    """Decode, resize and crop: uint8 [height, width, 3], RGB.

    `picture` is a path, the bytes of an image file, a PIL image, or uint8 pixels [H, W], [H, W, 1], [H, W, 3] or
    [H, W, 4]. Raises `InputError` that names the file when it cannot be decoded.
    """
    name = str(picture) if isinstance(picture, str | PathLike) else "the given image"
    try:
        image = _rgb(_open(picture, framing.resize))
        return np.asarray(_frame(image, framing))
    except FileNotFoundError:
        raise InputError(f"no such image: {name}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        reason = "not an image that Pillow can read" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InputError(f"cannot read {name}: {reason}") from error


def _open(picture: Picture, at_least: int) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8:
            raise InputError(f"pixels must be uint8, not {picture.dtype}")
        return Image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture)
    image = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture))
    image.draft(None, (at_least, at_least))  # a no-op except for JPEG: decode small, never below the target
    return image


def _rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
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
    width, height = image.size
    scale = framing.resize / min(width, height)
    size = max(framing.width, round(width * scale)), max(framing.height, round(height * scale))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - framing.width) // 2, (size[1] - framing.height) // 2
    if size == (framing.width, framing.height):
        return image
    return image.crop((left, top, left + framing.width, top + framing.height))
