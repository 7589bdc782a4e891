"""Preprocessing by Pillow: the reference, and what reads everything that libzoo does not.

1. JPEG is decoded at the smallest libjpeg scale whose short side is still >= the target (others in full);
2. the EXIF orientation is applied; any colour mode becomes 8-bit RGB (transparency over white, 16 bits scaled to 8);
3. the short side is resized to `resize` with Pillow's antialiased bilinear filter;
4. the centre `height` x `width` is cropped.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zoo.errors import InputError
from zoo.preprocess.preprocessing import Picture, Pixels, Preprocessing

SIDEWAYS = range(5, 9)  # orientations that swap width and height


def preprocess(picture: Picture, preprocessing: Preprocessing) -> tuple[Pixels, tuple[int, int]]:
    """As `zoo.preprocess.preprocess`."""
    name = str(picture) if isinstance(picture, str | PathLike) else "the given image"
    with _named(name):
        image, full = _open(picture, preprocessing.resize)
        image.load()
        orientation = _orientation(image)
        if orientation in range(2, 9):  # Pillow copies the picture even where there is nothing to turn
            image = ImageOps.exif_transpose(image)
        size = image.size if full is None else full[::-1] if orientation in SIDEWAYS else full
        return np.asarray(_resized_and_cropped(_rgb(image), preprocessing)), size


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of a picture that is turned upright. `InputError` when it cannot be opened."""
    with _named(str(path)), Image.open(path) as image:
        if image.format == "TIFF":
            image.load()
        width, height = image.size
        return (height, width) if _orientation(image) in SIDEWAYS else (width, height)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What goes wrong while a picture is read, as an `InputError` that names it."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"no such image: {name}") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        reason = "not an image that Pillow can read" if isinstance(error, UnidentifiedImageError) else str(error)
        raise InputError(f"cannot read {name}: {reason}") from error


def _orientation(image: Image.Image) -> object:
    """EXIF's 1 to 8, of which 1 is upright, or whatever else the file says. A TIFF is turned upright by Pillow while it
    is loaded, and its orientation dropped.
    """
    return image.getexif().get(ExifTags.Base.Orientation, 1)


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
