"""What one packing is asked for: the source, its task and real images, the precisions, and how graphs are judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.packing.onnx import MAX_BATCH
from export.packing.quantise.sensitive import Choice
from export.packing.source import Source
from zoo.bundle.manifest import Precision
from zoo.errors import InputError
from zoo.preprocess import Pixels, Preprocessing
from zoo.tasks.task import Task

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")  # int8s is for TensorRT alone: only if it is asked for


@dataclass(frozen=True)
class Evidence:
    """Real images, uint8 [N, H, W, 3]: `calibration` from the training set, and the `test` set with its `targets`,
    against which every graph is checked. With `calibration_targets` the method `auto` chooses by the metric; without
    them by the agreement with the fp32 graph.
    """

    calibration: Pixels
    test: Pixels
    targets: npt.NDArray[Any]
    split: str = "test"
    calibration_targets: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Options:
    """How graphs are made and judged. `opset`: None takes the exporter's usual one, or an ONNX file's own. `thresholds`
    replaces some of `export.packing.parity.THRESHOLDS`; None leaves one. `sign`: the private key
    (`zoo.bundle.signature`) that signs the bundle.
    """

    opset: int | None = None
    max_batch: int = MAX_BATCH
    method: Choice = "minmax"
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    sign: Path | None = None


@dataclass(frozen=True)
class Request:
    """Everything that `export.packing.pipeline.Packing` reads. A function that packs one kind of source makes one."""

    source: Source
    name: str
    task: Task
    preprocessing: Preprocessing
    evidence: Evidence
    provenance: Mapping[str, Any]
    precisions: Sequence[Precision] = PRECISIONS
    options: Options = field(default_factory=Options)
    leave_out: bool = False  # a reduced precision that fails is left out with its reason, and the others are packed

    def check(self) -> None:
        """`InputError` for images whose type, shape or number does not fit."""
        evidence, wanted = self.evidence, (self.preprocessing.height, self.preprocessing.width, 3)
        for what, images in (("calibration", evidence.calibration), ("test", evidence.test)):
            if images.dtype != np.uint8 or images.shape[1:] != wanted or not len(images):
                shape = ", ".join(map(str, wanted))
                raise InputError(f"{what} images must be uint8 [N, {shape}], not {images.dtype} {list(images.shape)}")
        if len(evidence.test) != len(evidence.targets):
            raise InputError(f"{len(evidence.test)} test images and {len(evidence.targets)} targets")
