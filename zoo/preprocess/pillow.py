"""Preprocessing by Pillow: the reference, and what reads everything that libzoo does not.

1. JPEG is decoded at the smallest libjpeg scale whose short side is still >= the target (others in full);
2. any kind of pixel becomes 8-bit RGB (`zoo.preprocess.depth`); the orientation tag is applied;
3. the short side is resized to `resize` with Pillow's antialiased bilinear filter;
4. the centre `height` x `width` is cropped.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from zoo.errors import InputError, first_line
from zoo.preprocess import orientation
from zoo.preprocess.depth import rgb
from zoo.preprocess.preprocessing import Picture, Pixels, Preprocessing


def preprocess(picture: Picture, preprocessing: Preprocessing) -> tuple[Pixels, tuple[int, int]]:
    """As `zoo.preprocess.preprocess`."""
    name = str(picture) if isinstance(picture, str | PathLike) else "the given image"
    with _named(name), ExitStack() as files:
        if isinstance(picture, str | PathLike | bytes):
            image = _opened(picture, files)
            full = image.size
            image.draft(None, (preprocessing.resize, preprocessing.resize))  # JPEG: decode small, never below that
            image.load()
            turn = orientation.of_file(image)
        else:
            image = _given(picture)
            image.load()
            full, turn = image.size, orientation.of_image(image)
        image = orientation.upright(rgb(image), turn)
        size = full[::-1] if turn in orientation.SIDEWAYS else full
        return np.asarray(_resized_and_cropped(image, preprocessing)), size


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels of a picture that is turned upright. `InputError` when it cannot be opened."""
    with _named(str(path)), ExitStack() as files:
        image = _opened(path, files)
        if image.format == "PNG":
            image.load()
        width, height = image.size
        return (height, width) if orientation.of_file(image) in orientation.SIDEWAYS else (width, height)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """What goes wrong while a picture is read, as an `InputError` that names it: decoders raise whatever they like."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"no such image: {name}") from None
    except Exception as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "not an image that Pillow can read" if unknown else first_line(error) or type(error).__name__
        raise InputError(f"cannot read {name}: {reason}") from error


def _opened(picture: str | PathLike[str] | bytes, files: ExitStack) -> Image.Image:
    """The image in a file, not loaded yet. What is open is closed by `files`."""
    source = files.enter_context(_stream(picture))
    image: Image.Image = files.enter_context(Image.open(source))
    if isinstance(image, TiffImageFile):
        source.seek(0)
        image = files.enter_context(orientation.Tiff(source))
    return image


def _stream(picture: str | PathLike[str] | bytes) -> BinaryIO:
    return io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture).open("rb")


def _given(picture: Image.Image | np.ndarray) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    if picture.dtype != np.uint8:
        raise InputError(f"pixels must be uint8, not {picture.dtype}")
    return Image.fromarray(picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture)


def _resized_and_cropped(image: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size = preprocessing.scaled(image.size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - preprocessing.width) // 2, (size[1] - preprocessing.height) // 2
    if size == (preprocessing.width, preprocessing.height):
        return image
    return image.crop((left, top, left + preprocessing.width, top + preprocessing.height))
