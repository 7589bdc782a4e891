"""Packing what does not bring its own data along: a timm or torchvision model by name, or an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from export.packing.request import PRECISIONS, Evidence, Options
from export.packing.sources.checkpoint import CALIBRATION_IMAGES, evidence
from export.packing.sources.foreign import pack_onnx, side_of
from export.packing.sources.module import pack, preprocessing_of
from zoo import data
from zoo.bundle.manifest import Manifest, Precision
from zoo.data import DataConfig, ImageSet
from zoo.errors import InputError
from zoo.models.config import Network
from zoo.models.construct import build
from zoo.models.library import HUB, LIBRARIES, MEAN, STD, usual
from zoo.models.weights.hub import library_network
from zoo.tasks.class_order import ClassOrder, names_of_outputs


@dataclass(frozen=True)
class Given:
    """What a command line says about a network that is not ours. None: what its library or file says, or the usual."""

    images: Path | None = None
    labels: Path | None = None
    class_order: ClassOrder | None = None
    weights: str = ""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    resize: int | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    output: str = ""
    calibration: int = CALIBRATION_IMAGES
    seed: int = 0
    precisions: Sequence[Precision] = PRECISIONS
    options: Options = field(default_factory=Options)


def is_foreign(source: str) -> bool:
    """Whether this names a library's model or an ONNX file, and no checkpoint of ours."""
    return source.startswith(LIBRARIES) or source.endswith(".onnx")


def pack_foreign(source: str, out: Path, given: Given) -> Manifest:
    """Pack `timm:NAME`, `torchvision:NAME` or `FILE.onnx`, a classifier. Its images are `given.images`: a folder
    DIR/CLASS/image, or DIR/{train,val}/CLASS/image. `InputError` says what is missing.
    """
    if given.images is None:
        raise InputError(f"{source} brings no images along: --data DIR, with DIR/CLASS/*.jpg")
    if source.endswith(".onnx"):
        size = side_of(Path(source), given.size)
        labels, images = _images(given.images, given, size, given.resize or size)
        return pack_onnx(
            Path(source),
            out,
            labels=labels,
            size=size,
            evidence=images,
            mean=given.mean or MEAN,
            std=given.std or STD,
            resize=given.resize,
            output=given.output,
            precisions=given.precisions,
            options=given.options,
        )
    if not given.weights:
        raise InputError(f"{source} has no weights yet: --weights FILE, or --weights hub for the library's own")
    habit = usual(source)
    size = given.size or habit.size
    labels, images = _images(given.images, given, size, given.resize or habit.resize(size))
    spec = Network(model=source, weights=given.weights, knobs=dict(given.knobs))
    # The library's own network where there is one: graphs are compared with what its users have, not with a copy.
    module = library_network(spec) if given.weights == HUB else build(spec, classes=len(labels), size=size)
    return pack(
        module.eval(),
        out,
        labels=labels,
        size=size,
        evidence=images,
        mean=given.mean or habit.mean,
        std=given.std or habit.std,
        resize=given.resize or habit.resize(size),
        precisions=given.precisions,
        provenance={"model": source, "weights": Path(given.weights).name},
        options=given.options,
    )


def _images(images: Path, given: Given, size: int, resize: int) -> tuple[list[str], Evidence]:
    """The labels in output order, and the images with the classes' numbers in that order."""
    preprocessing = preprocessing_of(size, resize)
    splits = data.load(DataConfig(source="folder", path=images, size=size, resize=resize), given.seed)
    labels = names_of_outputs(splits.labels, given.labels, given.class_order, images)
    for name in splits.labels:  # ImageNet's have two cranes: that only matters where a folder is called so
        if labels.count(name) != 1:
            what = "none" if name not in labels else f"{labels.count(name)}"
            raise InputError(f"{images}: the folder '{name}' is {what} of the {len(labels)} labels")
    number = np.array([labels.index(name) for name in splits.labels], dtype=np.int64)

    def renumbered(part: ImageSet) -> ImageSet:
        return replace(part, targets=number[part.targets])

    splits = replace(splits, train=renumbered(splits.train), test=renumbered(splits.test))
    return labels, evidence(splits, preprocessing, given.calibration, given.seed)
