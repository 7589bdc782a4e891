"""Which images are trained on, and which are tested on: drawn by a seed where the data does not say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from zoo.data.config import DataConfig
from zoo.data.imageset import ImageSet, Splits, draw
from zoo.preprocess import Pixels

Again = Callable[[npt.NDArray[np.int64]], Pixels]  # reads images by number once more, as the network sees them


def split(
    images: ImageSet, labels: list[str], config: DataConfig, seed: int, again: Again, *, skipped: int = 0
) -> Splits:
    """Hold out `config.test` of the images. They are preprocessed as in an app, whatever training images are kept at:
    `again` reads them at that size where it differs.
    """
    held_out = draw(images.targets, config.test, seed, named(labels, config))
    kept, test = np.setdiff1d(np.arange(len(images)), held_out), images.take(held_out)
    if config.stored_preprocessing != config.preprocessing:
        test = replace(test, images=again(held_out))
    return Splits(images.take(kept), test, labels, skipped)


def reduced(splits: Splits, config: DataConfig, seed: int) -> Splits:
    """The same with fewer training images, some of them held out for early stopping, and labels hidden, as `config`
    says.
    """
    train, names = splits.train, named(splits.labels, config)
    if config.limit is not None and config.limit < len(train):
        train = train.take(draw(train.targets, config.limit, seed, names))
    validation = None
    if config.validation:
        held_out = draw(train.targets, config.validation, seed + 1, names)
        validation = train.take(held_out).preprocessed(config.preprocessing)
        train = train.take(np.setdiff1d(np.arange(len(train)), held_out))
    if config.labelled < 1:
        train = train.with_labels(draw(train.targets, config.labelled, seed, names))
    return replace(splits, train=train, validation=validation)


def named(labels: list[str], config: DataConfig) -> list[str]:
    """What errors call the classes."""
    return [f"class '{label}'" if config.path is None else f"class '{label}' of {config.path}" for label in labels]
