"""What a source of data is: a name in `data.source`, and how its images are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.data.config import DataConfig
from zoo.data.imageset import ImageSet, Splits
from zoo.preprocess import Pixels


@dataclass(frozen=True)
class Source:
    """`read(config, seed)` gives the images with their labels in splits: those for training as
    `config.stored_preprocessing` says, those for the test as `config.preprocessing` does, the same for the same seed.
    It raises `InputError` where it cannot. `data.limit`, `data.validation` and `data.labelled` are applied to what it
    gives.

    `whole`: pictures may not be cropped (targets would lie outside), so that `data.resize` is refused.
    """

    read: Callable[[DataConfig, int], Splits]
    whole: bool = False


def all_labelled(images: Pixels, targets: npt.NDArray[np.int64] | list[int], names: list[str]) -> ImageSet:
    """Images of one class each, every one with its label."""
    return ImageSet(images, np.asarray(targets, dtype=np.int64), names, np.ones(len(images), dtype=np.bool_))
