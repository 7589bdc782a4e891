"""Running a graph with the bundle's signature on a CPU, with ONNX Runtime: images in, logits out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx

from export.packing.parity import Floats
from zoo.engines.registry import backend_class
from zoo.graphs.model import to_bytes
from zoo.preprocess import Pixels

BATCH = 64  # images at once


def logits_of(model: onnx.ModelProto, images: Pixels) -> Floats:
    """The logits of a graph in memory: uint8 [N, H, W, 3] -> float32 [N, outputs]."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(to_bytes(model))
        return logits_of_file(path, "fp32", images)


def logits_of_file(path: Path, precision: str, images: Pixels) -> Floats:
    """The same for a graph on disk."""
    engine = backend_class("onnxruntime")(path, precision=precision, device="cpu", threads=None)
    return np.concatenate([engine.run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)])
