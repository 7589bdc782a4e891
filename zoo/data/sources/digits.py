"""`digits`: the handwritten digits that ship with scikit-learn, for a first run without any download."""

from __future__ import annotations

import numpy as np

from zoo.data.config import DataConfig
from zoo.data.imageset import Splits
from zoo.data.source import Source, all_labelled
from zoo.data.splitting import split
from zoo.errors import missing_package
from zoo.preprocess import Pixels, preprocess


def digit_scans() -> tuple[Pixels, list[int]]:
    """The 1,797 handwritten digits that ship with scikit-learn: uint8 [1797, 8, 8] grey, and their values.

    Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI 1998; 17 grey levels, stretched to 0..255.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise missing_package("scikit-learn", "train", "the digits data") from None
    bunch = load_digits()
    return (bunch.images * (255 / 16)).round().astype(np.uint8), bunch.target.tolist()


def _read(config: DataConfig, seed: int) -> Splits:
    scans, targets = digit_scans()
    images = np.stack([preprocess(scan, config.stored_preprocessing)[0] for scan in scans])
    everything = all_labelled(images, targets, [f"digit-{i:04d}" for i in range(len(images))])
    return split(
        everything,
        [str(digit) for digit in range(10)],
        config,
        seed,
        lambda which: np.stack([preprocess(scan, config.preprocessing)[0] for scan in scans[which]]),
    )


SOURCE = Source(_read)
