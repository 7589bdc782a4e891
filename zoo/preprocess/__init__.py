"""Preprocessing: from a picture, however it comes, to the uint8 pixels that a network is fed.

Training, labelling, calibration, evaluation, engines and the bench all call `preprocess`, so that a network meets in
an app the very pixels that it was trained on. libzoo does the work where it is built and can read the picture, else
Pillow; the two differ by at most one grey level.
"""

from __future__ import annotations

import io

from PIL import Image, ImageFile

from zoo.preprocess import compiled, orientation, pillow
from zoo.preprocess.pillow import upright_size
from zoo.preprocess.preprocessing import Picture, Pixels, Preprocessing

__all__ = ["Picture", "Pixels", "Preprocessing", "preprocess", "upright_size"]


def preprocess(picture: Picture, preprocessing: Preprocessing) -> tuple[Pixels, tuple[int, int]]:
    """Decode, turn upright, resize and crop: uint8 [height, width, 3] RGB, and the (width, height) in pixels of the
    upright picture that they were taken from.

    `picture` is a path, the bytes of an image file, a PIL image, or uint8 pixels [H, W], [H, W, 1], [H, W, 3] or
    [H, W, 4]. A PIL image that was opened and not yet loaded is read as its file is, with the same pixels. Raises
    `InputError`, which names the file, when it cannot be decoded.
    """
    if isinstance(picture, Image.Image):
        picture = _encoded(picture) or picture
    return compiled.preprocess(picture, preprocessing) or pillow.preprocess(picture, preprocessing)


def _encoded(image: Image.Image) -> bytes | None:
    """The file behind a PIL image of which nothing was loaded, turned or chosen yet; None where there is none.

    Pillow decodes a JPEG at full size once its pixels are asked for. Its file is decoded at the smallest sufficient
    scale, like a path.
    """
    if not isinstance(image, ImageFile.ImageFile) or image.fp is None or not image.tile or image.tell() != 0:
        return None
    file = image.fp
    try:
        place = file.tell()
        file.seek(0)
        try:
            encoded: bytes = file.read()
        finally:
            file.seek(place)
        with Image.open(io.BytesIO(encoded)) as fresh:
            untouched = _facts(fresh) == _facts(image)
    except Exception:  # the file was closed, or cannot be read twice: what is wrong shows when it is loaded
        return None
    return encoded if untouched else None


def _facts(image: Image.Image) -> tuple[object, ...]:
    """What differs once another size, mode or orientation was set on a picture that is not loaded yet."""
    turn = None if image.format == "PNG" else orientation.of_image(image)  # Pillow loads a PNG to find its own
    return image.size, image.mode, image.info.get("exif"), turn
