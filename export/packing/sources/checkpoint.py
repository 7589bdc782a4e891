"""Packing a checkpoint of ours: the network, its labels and its own data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from export.packing.pipeline import Packing
from export.packing.request import PRECISIONS, Evidence, Options, Request
from export.packing.sources.torch_network import TorchSource
from zoo import data
from zoo.bundle.manifest import Manifest, Precision
from zoo.data import Splits
from zoo.errors import InputError
from zoo.files import atomic_file, sha256
from zoo.learn.run.specialists import splits_for_checkpoint
from zoo.models import checkpoint
from zoo.preprocess import Preprocessing

CALIBRATION_IMAGES = 256


def pack_checkpoint(
    path: Path,
    out: Path,
    *,
    precisions: Sequence[Precision] = PRECISIONS,
    calibration: int = CALIBRATION_IMAGES,
    data_path: Path | None = None,
    splits: Splits | None = None,
    test_set: Path | None = None,
    options: Options | None = None,
) -> Manifest:
    """Pack the checkpoint at `path` as the bundle `out`.

    The test images are those of its own recipe and seed, from `data_path` if they have moved; `splits` spares reading
    them again; `test_set` is a file to write them to. `calibration` is a number of training images. Raises
    `VerdictError` when a graph fails a check.
    """
    options = options or Options()
    network, about = checkpoint.load(path)
    config = about.data if data_path is None else about.data.model_copy(update={"path": data_path})
    images = splits_for_checkpoint(splits or data.load(config, about.seed), about)
    if test_set is not None:
        if test_set.suffix != ".safetensors":
            raise InputError(f"a test set's name ends in .safetensors: {test_set}")
        with atomic_file(test_set) as temporary:
            save_file({"image": images.test.images, "target": images.test.targets}, temporary)
    preprocessing, task = about.data.preprocessing, about.problem
    source = TorchSource(
        network,
        about.name,
        preprocessing.height,
        preprocessing.width,
        task.output,
        options.opset,
        options.max_batch,
    )
    request = Request(
        source,
        about.name,
        task,
        preprocessing,
        evidence(images, preprocessing, calibration, about.seed),
        about.provenance | {"role": about.role, "seed": about.seed, "checkpoint_sha256": sha256(checkpoint.find(path))},
        precisions,
        options,
    )
    return Packing(request, out).run()


def evidence(images: Splits, preprocessing: Preprocessing, calibration: int, seed: int) -> Evidence:
    """The test images, and `calibration` training images, drawn by the seed."""
    if calibration < 1:
        raise InputError(f"at least one image is needed for calibration, not {calibration}")
    chosen = images.train.take(np.random.default_rng(seed).permutation(len(images.train))[:calibration])
    return Evidence(
        chosen.preprocessed(preprocessing).images,
        images.test.images,
        images.test.targets,
        calibration_targets=chosen.targets,
    )
