"""Preprocessing by Pillow: the reference, and what reads everything that libzoo does not.

1. JPEG is decoded at the smallest libjpeg scale whose short side is still >= the target (others in full);
2. the EXIF orientation is applied; any colour mode becomes 8-bit RGB (transparency over white, 16 bits scaled to 8);
3. the short side is resized to `resize` with Pillow's antialiased bilinear filter;
4. the centre `height` x `width` is cropped.
"""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zoo.errors import InputError
from zoo.preprocess.preprocessing import Picture, Pixels, Preprocessing


def preprocess(picture: Picture, preprocessing: Preprocessing) -> tuple[Pixels, tuple[int, int]]:
    """As `zoo.preprocess.preprocess`."""
    name = str(picture) if isinstance(picture, str | PathLike) else "the given image"
    try:
        image, full = _open(picture, preprocessing.resize)
        image.load()  # Pillow turns a TIFF upright meanwhile, and then drops its orientation
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        if orientation in range(2, 9):  # Pillow copies the picture even where there is nothing to turn
            image = ImageOps.exif_transpose(image)
        size = image.size if full is None else full[::-1] if orientation in range(5, 9) else full
        return np.asarray(_resized_and_cropped(_rgb(image), preprocessing)), size
    except FileNotFoundError:
        raise InputError(f"no such image: {name}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        reason = "not an image that Pillow can read" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InputError(f"cannot read {name}: {reason}") from error


def _open(picture: Picture, at_least: int) -> tuple[Image.Image, tuple[int, int] | None]:
    """The image, and its full size as stored if it is decoded at a smaller one: a JPEG, where that is enough."""
    if isinstance(picture, Image.Image):
        return picture, None
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8:
            raise InputError(f"pixels must be uint8, not {picture.dtype}")
        return Image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture), None
    file = Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture))
    full = file.size
    file.draft(None, (at_least, at_least))  # a no-op except for JPEG: decode small, never below the target
    return file, None if file.size == full else full


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


def _resized_and_cropped(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size = preprocessing.scaled(image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - preprocessing.width) // 2, (size[1] - preprocessing.height) // 2
    if size == (preprocessing.width, preprocessing.height):
        return image
    return image.crop((left, top, left + preprocessing.width, top + preprocessing.height))
