"""`tags`: images with the tags that `zoo label` stored for them."""

from __future__ import annotations

import numpy as np

from zoo.data.config import DataConfig
from zoo.data.decoding import decode
from zoo.data.imageset import ImageSet, Splits
from zoo.data.source import Source
from zoo.data.splitting import split
from zoo.data.tags import read_pairs
from zoo.errors import InputError


def _read(config: DataConfig, seed: int) -> Splits:
    if config.path is None or config.pairs is None:
        raise InputError("data.path (the images) and data.pairs (what `zoo label` wrote) are not both given")
    pairs, folder = config.pairs, config.path
    images, targets, names, labels = read_pairs(pairs, folder, config.stored_preprocessing, tags=config.tags)
    return split(
        ImageSet(images, targets, names, np.ones(len(images), dtype=np.bool_)),
        labels,
        config,
        seed,
        lambda which: decode([folder / names[i] for i in which], config.preprocessing),
    )


SOURCE = Source(_read)
