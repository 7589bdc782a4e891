"""Old pickled pairs (X, y) become what the rest of the zoo reads: PNG files, pairs.parquet and tags.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoo.data.legacy import read_legacy_pairs
from zoo.errors import InputError
from zoo.files import atomic_folder
from zoo.learn.label import pairs
from zoo.learn.label.labeller import Tags
from zoo.learn.label.old_pairs.labels import tags_of
from zoo.preprocess import Pixels
from zoo.progress import track

SERIES = (list, tuple, np.ndarray)


def convert(old: Path, out: Path, *, names: Sequence[str], keep: int, limit: int) -> int:
    """Write the new folder `out` with `images/` and the pairs; returns how many.

    X: for each image [H, W], [H, W, 1 or 3] or [1 or 3, H, W], uint8 or other numbers within 0 to 1 or 0 to 255. y: as
    `zoo.learn.label.old_pairs.labels` reads them. `names`: of y's columns or classes.
    `keep`: size of the tag index; `limit`: of the unpacked pickle, in bytes.
    """
    if out.exists():
        raise InputError(f"{out} is there already: --out names a new folder")
    images, labels = read_legacy_pairs(old, limit=limit)
    if not (isinstance(images, SERIES) and isinstance(labels, SERIES) and len(images) == len(labels) > 0):
        raise InputError(f"{old} does not hold as many labels as images")
    scale, tags = _scale(images), tags_of(list(labels), names)
    rows: list[tuple[str, Tags]] = []
    with atomic_folder(out) as folder, track(f"writing {out}", len(images)) as advance:
        (folder / "images").mkdir()
        for number, (image, label) in enumerate(zip(images, tags, strict=True)):
            name = f"{number:07d}.png"
            Image.fromarray(_pixels(image, scale)).save(folder / "images" / name)
            rows.append((name, label))
            advance()
        pairs.write(folder, rows, keep=keep)
    return len(rows)


def _scale(images: Any) -> float:
    """What brings all numbers to 0..255."""
    try:
        lowest, highest = (float(f([f(image) for image in images])) for f in (np.min, np.max))
    except (TypeError, ValueError):
        raise InputError("X does not hold images: arrays of numbers are needed") from None
    if not 0 <= lowest <= highest <= 255:
        raise InputError(f"the images hold numbers from {lowest:g} to {highest:g}; 0 to 1 or 0 to 255 are needed")
    whole = all(np.asarray(image).dtype == np.uint8 for image in images)
    return 255.0 if highest <= 1 and not whole else 1.0


def _pixels(image: Any, scale: float) -> Pixels:
    """uint8 [H, W, 3], or [H, W] for grey."""
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2 and array.shape[2:] != (3,):
        raise InputError(f"an image of X has the shape {list(array.shape)}: [H, W], [H, W, 3] or [3, H, W] is needed")
    return np.round(array * scale).astype(np.uint8)
