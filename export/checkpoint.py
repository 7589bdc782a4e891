"""Packing a checkpoint of ours: the network, its labels and its own data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.pack import PRECISIONS, Evidence, pack
from zoo import data
from zoo.data import Splits
from zoo.engines.manifest import Manifest, Precision
from zoo.errors import InputError
from zoo.files import sha256
from zoo.learn import checkpoint

CALIBRATION_IMAGES = 256


def pack_checkpoint(
    path: Path,
    out: Path,
    *,
    precisions: Sequence[Precision] = PRECISIONS,
    data_path: Path | None = None,
    splits: Splits | None = None,
) -> Manifest:
    """Pack the checkpoint at `path` as the bundle `out`.

    The test images are those of its own recipe and seed, from `data_path` if they have moved; `splits` spares reading
    them again. Raises `VerdictError` when a graph fails its gate.
    """
    network, about = checkpoint.load(path)
    config = about.data if data_path is None else about.data.model_copy(update={"path": data_path})
    images = splits or data.load(config, about.seed)
    if images.classes != about.labels:
        raise InputError(f"the images have other classes than {path}: {', '.join(images.classes[:5])} ...")
    chosen = np.random.default_rng(about.seed).permutation(len(images.train))[:CALIBRATION_IMAGES]
    return pack(
        network,
        out,
        name=about.name,
        task=about.task,
        labels=about.labels,
        framing=about.data.framing,
        evidence=Evidence(images.train.images[chosen], images.test.images, images.test.targets),
        provenance=about.provenance
        | {"role": about.role, "seed": about.seed, "checkpoint_sha256": sha256(checkpoint.find(path))},
        precisions=precisions,
    )
