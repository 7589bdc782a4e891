"""Images with any number of tags, each with a score: the pairs that a tagging student learns from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.data.decoding import decode_readable
from zoo.errors import InputError, first_line, missing_package
from zoo.preprocess import Pixels, Preprocessing

Targets = npt.NDArray[np.float32]


def folded(tag: str) -> str:
    """The form in which tags are compared: ' Cat' and 'cat' are one."""
    return tag.strip().casefold()


def same_tags_once(tags: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Folded tag to its best score, best first; ties by name. Empty tags are dropped."""
    scores: dict[str, float] = {}
    for tag, score in tags:
        if name := folded(tag):
            scores[name] = max(score, scores.get(name, 0.0))
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def most_frequent(counts: Counter[str], keep: int) -> list[tuple[str, int]]:
    """The `keep` most frequent tags with their counts; ties by name, so that the index is the same every time."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:keep]


def read_pairs(
    parquet: Path, images: Path, preprocessing: Preprocessing, *, tags: int | list[str]
) -> tuple[Pixels, Targets, list[str], list[str]]:
    """Images uint8 [N, H, W, 3], targets float32 [N, tags], image names, tag names, from what `zoo label` wrote.

    `images`: the folder that the names are relative to. `tags`: which, or how many of the most frequent. A target is
    the stored score, 0 where the teacher said nothing. Images that are missing or unreadable are skipped and named.
    """
    everything, scores = _columns(parquet)
    if isinstance(tags, int):
        tags = [tag for tag, _ in most_frequent(Counter(chain.from_iterable(scores)), tags)]
    if not tags:
        raise InputError(f"{parquet} holds no tags")
    if not everything:
        raise InputError("there are no pairs")
    pixels, readable = decode_readable([images / name for name in everything], preprocessing, what="reading images")
    if not readable:
        raise InputError("none of the images can be read")
    column = {folded(tag): number for number, tag in enumerate(tags)}
    targets = np.zeros((len(readable), len(tags)), dtype=np.float32)
    for row, which in enumerate(readable):
        for tag, score in scores[which].items():
            if tag in column:
                targets[row, column[tag]] = score
    return pixels, targets, [everything[which] for which in readable], tags


def _columns(parquet: Path) -> tuple[list[str], list[dict[str, float]]]:
    """Names, and each image's tags with their scores."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import read_table
    except ImportError:
        raise missing_package("pyarrow", "train", "reading pairs") from None
    try:
        table = read_table(parquet, columns=["name", "tags", "scores"]).to_pydict()
    except FileNotFoundError:
        raise InputError(f"no such file of pairs: {parquet}") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{parquet} is no file of pairs: {first_line(error)}") from None
    return table["name"], [
        same_tags_once(zip(tags, scores, strict=True))
        for tags, scores in zip(table["tags"], table["scores"], strict=True)
    ]
