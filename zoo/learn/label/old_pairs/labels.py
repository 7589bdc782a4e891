"""What the labels y of an old pickled pair (X, y) mean, decided once for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.learn.label.labeller import Tags

TEXT = (str, bytes)
READ = (
    "scores from 0 to 1 of all tags, the score of one tag, a class number, a tag, a list of tags, or tags with scores"
)


def tags_of(labels: Sequence[Any], names: Sequence[str]) -> list[Tags]:
    """The tags of each image with their scores. `names`: of y's columns or classes; their numbers where there are none.

    y holds for each image: scores 0 to 1 of all tags [N, tags]; a class number [N] or [N, 1]; the score of the only tag
    [N] or [N, 1]; a tag, a list of tags or of their numbers, or a dict of tags and scores. `InputError` for anything
    else, and for a column of 0 and 1 alone, which may be two classes or one tag, unless one or two names say which.
    """
    numbers = _numbers(labels)
    if numbers is not None:
        return _of_column(numbers, names) if numbers.ndim == 1 else _of_scores(numbers, names)
    return [_of_one(label, names) for label in labels]


def _numbers(labels: Sequence[Any]) -> npt.NDArray[np.float64] | None:
    """[N] or [N, columns] where y holds as many numbers for each image; None for text, dicts and uneven lists."""
    try:
        found = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    found = found.reshape(len(found), -1)
    return found[:, 0] if found.shape[1] == 1 else found


def _of_column(values: npt.NDArray[np.float64], names: Sequence[str]) -> list[Tags]:
    """One number for each image."""
    whole = bool((values == np.round(values)).all())
    within = bool(((values >= 0) & (values <= 1)).all())
    if whole and within and len(names) not in (1, 2):
        raise InputError(
            "y has a 0 or a 1 for each image, which are two classes or one tag: give two names or one (--names)"
        )
    if within and (not whole or len(names) == 1):
        return _of_scores(values[:, None], names)
    if not whole:
        raise InputError(f"y has one number for each image, such as {values[0]:g}: neither class numbers nor scores")
    return [[(_name(int(value), names), 1.0)] for value in values]


def _of_scores(scores: npt.NDArray[np.float64], names: Sequence[str]) -> list[Tags]:
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InputError(
            f"y has {scores.shape[1]} numbers for each image, neither scores from 0 to 1 nor one class number"
        )
    if names and len(names) != scores.shape[1]:
        raise InputError(f"y has {scores.shape[1]} columns and there are {len(names)} names")
    return [
        [(_name(int(column), names), float(np.float32(row[column]))) for column in np.flatnonzero(row)]
        for row in scores
    ]


def _of_one(label: Any, names: Sequence[str]) -> Tags:
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, str):
        return [(label, 1.0)]
    if isinstance(label, Mapping):
        return [(str(tag), _score(score)) for tag, score in label.items()]
    if isinstance(label, list | tuple | np.ndarray):
        parts = list(label)
        if all(isinstance(part, TEXT) for part in parts):
            return [tag for part in parts for tag in _of_one(part, names)]
        if all(isinstance(part, int | np.integer) for part in parts):
            return [(_name(int(part), names), 1.0) for part in parts]
    raise InputError(f"a label of y is a {type(label).__name__} that is none of these: {READ}")


def _score(value: Any) -> float:
    if not isinstance(value, int | float | np.number) or not 0 <= float(value) <= 1:
        raise InputError(f"a label of y is a dict with {value!r}, which is no score from 0 to 1")
    return float(value)


def _name(number: int, names: Sequence[str]) -> str:
    """Its name, or the number itself where none are given."""
    if names and not 0 <= number < len(names):
        raise InputError(f"y speaks of number {number} and there are {len(names)} names")
    return names[number] if names else str(number)
