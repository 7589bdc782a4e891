"""Faces with marked points in the format of Kaggle's Facial Keypoints Detection.

One CSV row is one picture: a pair of columns NAME_x, NAME_y for each point, in pixels, empty where nobody marked it,
and `Image`: the grey values of a square picture, row by row, separated by blanks.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.data.imageset import ImageSet
from zoo.errors import InputError, nearest
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.progress import note, track

IMAGE = "Image"
LARGEST_FIELD = 2**24  # the csv module stops at 128 kB, a picture of 180 pixels


def point_names(path: Path, wanted: Sequence[str] = ()) -> list[str]:
    """The points that the file has columns for, in its order; or `wanted`, checked against them."""
    header = _header(path)
    known = [name.removesuffix("_x") for name in header if name.endswith("_x")]
    if IMAGE not in header or not known or any(f"{name}_y" not in header for name in known):
        raise InputError(f"{path}: expected columns NAME_x, NAME_y ... and {IMAGE}, found {', '.join(header[:4])} ...")
    for name in wanted:
        if name not in known:
            raise InputError(f"{path} has no point '{name}'{nearest(name, known)}")
    return list(wanted) or known


def has_points(path: Path) -> bool:
    """Whether the file has marked points at all: Kaggle's own test file has pictures alone."""
    return any(name.endswith("_x") for name in _header(path))


def read_faces(path: Path, names: Sequence[str], preprocessing: Preprocessing, *, strict: bool) -> tuple[ImageSet, int]:
    """The pictures of a CSV file that show at least one of the points `names`, and how many rows could not be read.

    Targets are float32 [N, 2 points]: x, y of each point with -1 and 1 at the picture's edges, NaN where it is not
    marked. A bad row is named and skipped, or with `strict` an `InputError`.
    """
    csv.field_size_limit(LARGEST_FIELD)
    images: list[Pixels] = []
    targets: list[npt.NDArray[np.float32]] = []
    rows: list[str] = []
    bad: list[str] = []
    with path.open(newline="", encoding="utf-8") as file, track(f"reading {path}", 1, quiet_log=True):
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                pixels, points = _face(row, names)
            except (ValueError, TypeError) as error:
                bad.append(f"row {number}: {error}")
                if strict:
                    raise InputError(f"{path}, {bad[-1]}") from None
                continue
            if not np.isnan(points).all():
                images.append(preprocess(pixels, preprocessing)[0])
                targets.append(points)
                rows.append(f"{path.name}:{number}")
    if bad:
        note(f"skipped {len(bad)} rows of {path}: {'; '.join(bad[:3])}{' ...' if bad[3:] else ''}")
    if not images:
        raise InputError(f"{path} has no readable picture with one of: {', '.join(list(names)[:5])}")
    marked = np.ones(len(images), dtype=np.bool_)
    return ImageSet(np.stack(images), np.stack(targets), rows, marked), len(bad)


def _face(row: dict[str, str], names: Sequence[str]) -> tuple[Pixels, npt.NDArray[np.float32]]:
    values = [int(value) for value in row[IMAGE].split()]
    side = math.isqrt(len(values))
    if not values or side * side != len(values):
        raise ValueError(f"{len(values)} pixels are not a square")
    if min(values) < 0 or max(values) > 255:
        raise ValueError("a pixel is not in 0..255")
    places = [float(row[f"{name}_{axis}"] or math.nan) for name in names for axis in "xy"]
    # A coordinate names the middle of a pixel; the picture's edges are half a pixel further out.
    return np.array(values, dtype=np.uint8).reshape(side, side), (np.array(places, np.float32) + 0.5) * (2 / side) - 1


def _header(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a CSV file") from None
