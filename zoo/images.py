"""Names under which programs know preprocessing from earlier versions; the work is done in `zoo.preprocess`."""

from __future__ import annotations

from zoo.preprocess import Picture, Pixels, preprocess
from zoo.preprocess.preprocessing import Preprocessing

Framing = Preprocessing


def read(picture: Picture, preprocessing: Preprocessing) -> Pixels:
    """uint8 [height, width, 3] RGB. `InputError` when the picture cannot be read."""
    return preprocess(picture, preprocessing)[0]
