"""Any kind of pixel as 8-bit RGB, where it is agreed what its values mean; other pixels are refused.

Whole numbers of 9 to 16 bits are scaled, floats from 0 to 1 too. Numbers of 32 bits count as 16 where they fit. A
picture of 16 bits or more that uses only eight would be black, and is refused. TIFFs in which white is zero are
inverted, transparency is laid over white.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, TiffImageFile

from zoo.errors import InputError

HALF_A_LEVEL = 0.5 / 255  # so far outside of 0..1 a float rounds to black or white, and is what some filter left


def rgb(image: Image.Image) -> Image.Image:
    """The loaded image as 8-bit RGB. `InputError`, without the file's name, where its values have no agreed meaning."""
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        return _grey(image, _floats(np.asarray(image, dtype=np.float64)))
    if image.mode.startswith("I"):
        return _grey(image, _integers(np.asarray(image).astype(np.int64), _bits(image)))
    if image.has_transparency_data:
        layer = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _floats(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """0..1 as 0..255."""
    low, high = float(values.min()), float(values.max())
    if not (low >= -HALF_A_LEVEL and high <= 1 + HALF_A_LEVEL):  # NaN is neither
        raise InputError(
            f"its pixels are floats from {low:.6g} to {high:.6g}, and only 0 to 1 says what is white: save it as 8 or "
            "16 bits, or scaled to 0..1"
        )
    return np.rint(values.clip(0, 1) * 255)


def _integers(values: npt.NDArray[np.int64], bits: int) -> npt.NDArray[Any]:
    """0..2^bits - 1 as 0..255; of more than 16 bits those that fit into 16 and need more than 8."""
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"its pixels are whole numbers from {low} to {high}, and only 0 to 65535 says what is white: save it as 8 "
            "or 16 bits"
        )
    if bits >= 16 and 0 < high <= 255:
        raise InputError(
            f"its pixels are numbers of {bits} bits up to {high}, which is black where 65535 is white: save it "
            "as 8 bits"
        )
    return values // 257 if bits >= 16 else values * 255 // (2**bits - 1)


def _bits(image: Image.Image) -> int:
    """How many bits a whole number has."""
    if isinstance(image, TiffImageFile):
        return int(image.tag_v2.get(BITSPERSAMPLE, (16,))[0])
    # Pillow scales those of PGM to 16 bits; earlier versions open PNGs of 16 bits as numbers of 32.
    return 32 if image.mode == "I" and image.format not in ("PPM", "PNG") else 16


def _grey(image: Image.Image, values: npt.NDArray[Any]) -> Image.Image:
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0:
        values = 255 - values  # Pillow inverts those of 8 bits alone
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
