"""The int8 form of a graph for CPUs: static, per-channel Q/DQ with unsigned activations, calibrated on real images."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from export.onnx import to_bytes
from zoo.errors import InputError

QUANTISED = ["Conv", "Clip", "Relu", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "GlobalAveragePool"]


def int8(model: onnx.ModelProto, images: npt.NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantise a fp32 graph with the face `image`, calibrated on `images` uint8 [N, H, W, 3].

    Activations are unsigned and asymmetric: ReLU and Clip then fold into the zero point, and CPU kernels are fast.
    Weights keep 7 bits (`reduce_range`): without VNNI, x86 multiplies u8 by s8 with 16-bit saturation, and full-range
    weights then give wrong sums on one machine and right ones on the next. A bundle has to be right on both.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if images.min() == images.max():
        raise InputError("the calibration images are all of one colour: int8 ranges cannot be measured on them")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(to_bytes(model))
        quantize_static(
            source,
            target,
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
        )
        return onnx.load(target)


class _Reader:
    """Feeds the calibration batch by batch."""

    def __init__(self, images: npt.NDArray[np.uint8], batch: int = 32) -> None:
        self._batches = (images[start : start + batch] for start in range(0, len(images), batch))

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """The next batch by input name, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}

    def __iter__(self) -> Iterator[dict[str, npt.NDArray[np.uint8]]]:
        return iter(self.get_next, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser warns through the root logger that the model was not preprocessed; the exporter did that."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
