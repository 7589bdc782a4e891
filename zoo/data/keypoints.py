"""Faces with marked points in the format of Kaggle's Facial Keypoints Detection.

One CSV row is one picture: a pair of columns NAME_x, NAME_y for each point, in pixels, empty where nobody marked it,
and `Image`: the grey values of a square picture, row by row, separated by blanks. All pictures have one size. What
spreadsheets make of such a file is read as well: a byte order mark, semicolons or tabs between the columns, and with
those a comma for the decimal point.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.data.imageset import ImageSet
from zoo.errors import InputError, nearest
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.progress import note, track

IMAGE = "Image"
LARGEST_FIELD = 2**24  # the csv module stops at 128 kB, a picture of 180 pixels
DELIMITERS = ",;\t"


@dataclass(frozen=True)
class _Face:
    line: int
    pixels: Pixels  # [side, side]
    points: npt.NDArray[np.float32]  # x, y of each point in pixels, NaN where it is not marked


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
    marked. A row that is cut off, damaged or of another size than most is named and skipped, or with `strict` an
    `InputError`.
    """
    faces: list[_Face] = []
    bad: list[tuple[int, str]] = []
    with track(f"reading {path}", 1, quiet_log=True):
        columns, delimiter = _columns(path)
        for line, text in _lines(path):
            try:
                faces.append(_face(line, _row(text, columns, delimiter), names))
            except (ValueError, csv.Error) as error:
                bad.append((line, str(error)))
    usual = Counter(len(face.pixels) for face in faces).most_common(1)
    side = usual[0][0] if usual else 0
    for face in faces:
        if len(face.pixels) != side:
            bad.append((face.line, f"{face.pixels.size} pixels, most pictures of the file have {side * side}"))
    if bad:
        said = [f"row {line}: {reason}" for line, reason in sorted(bad)]
        if strict:
            raise InputError(f"{path}, {said[0]}")
        note(f"skipped {len(said)} rows of {path}: {'; '.join(said[:3])}{' ...' if said[3:] else ''}")
    shown = [face for face in faces if len(face.pixels) == side and not np.isnan(face.points).all()]
    if not shown:
        raise InputError(f"{path} has no readable picture with one of: {', '.join(list(names)[:5])}")
    images = np.stack([preprocess(face.pixels, preprocessing)[0] for face in shown])
    # A coordinate names the middle of a pixel; the picture's edges are half a pixel further out.
    targets = (np.stack([face.points for face in shown]) + np.float32(0.5)) * np.float32(2 / side) - np.float32(1)
    marked = np.ones(len(shown), dtype=np.bool_)
    return ImageSet(images, targets, [f"{path.name}:{face.line}" for face in shown], marked), len(bad)


def _face(line: int, row: dict[str, str], names: Sequence[str]) -> _Face:
    """`ValueError` says what is wrong with the row."""
    values = [int(value) for value in row[IMAGE].split()]
    side = math.isqrt(len(values))
    if not values or side * side != len(values):
        raise ValueError(f"{len(values)} pixels are not a square")
    if min(values) < 0 or max(values) > 255:
        raise ValueError("a pixel is not in 0..255")
    places = [float(row[f"{name}_{axis}"] or math.nan) for name in names for axis in "xy"]
    if any(map(math.isinf, places)):
        raise ValueError("a coordinate is infinite")
    return _Face(line, np.array(values, dtype=np.uint8).reshape(side, side), np.array(places, np.float32))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines behind the first with their numbers, without empty ones. Bytes that are no UTF-8 stay in their line."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        yield from ((number, text) for number, text in enumerate(file, start=1) if number > 1 and text.strip())


def _row(text: str, columns: Sequence[str], delimiter: str) -> dict[str, str]:
    """The fields of one line by their columns. Every line is taken apart by itself: a quote that nobody closed spoils
    its own row and none behind it.
    """
    fields = _fields(text, delimiter)
    if len(fields) != len(columns):
        raise ValueError(f"{len(fields)} columns instead of {len(columns)}")
    if delimiter != ",":  # then a comma is a decimal point
        fields = [field.replace(",", ".") for field in fields]
    return dict(zip(columns, fields, strict=True))


def _fields(text: str, delimiter: str) -> list[str]:
    csv.field_size_limit(LARGEST_FIELD)
    return next(csv.reader([text.rstrip("\r\n")], delimiter=delimiter, strict=True), [])


def _header(path: Path) -> list[str]:
    """The names of the columns."""
    return _columns(path)[0]


def _columns(path: Path) -> tuple[list[str], str]:
    """The names of the columns, and what stands between them: the most frequent of `DELIMITERS` in the first line."""
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:  # a bad byte further on is its row's matter
        first = file.readline(LARGEST_FIELD)
    delimiter = max(DELIMITERS, key=first.count)
    try:
        first.encode("utf-8")
        return [name.strip() for name in _fields(first, delimiter)], delimiter
    except (UnicodeEncodeError, csv.Error):
        raise InputError(f"{path} is not a CSV file in UTF-8") from None
