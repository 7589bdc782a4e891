"""Labelled images, how they are split, and the views of them that a network is trained on."""

from __future__ import annotations

from zoo.data.config import DataConfig
from zoo.data.imageset import ImageSet, Splits
from zoo.data.sources import check, find
from zoo.data.splitting import reduced

__all__ = ["DataConfig", "ImageSet", "Splits", "check", "load"]


def load(config: DataConfig, seed: int) -> Splits:
    """Read the images that `config` names, split them and hide labels: all by `seed`, the same every time.

    Raises `InputError` where the data is missing or is not what its source reads.
    """
    check(config)
    return reduced(find(config.source).read(config, seed), config, seed)
