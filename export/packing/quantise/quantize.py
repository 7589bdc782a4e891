"""The int8 forms of a graph: static, per-channel Q/DQ, calibrated on real images, in the two flavours runtimes need."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from export.packing.quantise.calibrate import Range, Statistics, measure
from zoo.bundle.manifest import Precision
from zoo.engines.onnxruntime.session import library
from zoo.errors import InputError
from zoo.graphs.qdq import join
from zoo.preprocess import Pixels
from zoo.quiet import quiet

QUANTISED = ["Conv", "Clip", "Relu", "Gemm", "MatMul", "Add", "MaxPool", "AveragePool", "GlobalAveragePool"]


@dataclass(frozen=True)
class Flavour:
    """What runtimes differ in.

    CPUs are fast with unsigned asymmetric activations: ReLU and Clip fold into the zero point. Weights keep 7 bits
    there (`reduce_range`): without VNNI, x86 multiplies u8 by s8 with 16-bit saturation, and full-range weights then
    give wrong sums on one machine and right ones on the next. A bundle has to be right on both.

    TensorRT takes signed symmetric activations alone, zero point 0, and biases as they are; it has no saturation, so
    weights keep 8 bits.
    """

    signed: bool

    @property
    def options(self) -> dict[str, Any]:
        """As ONNX Runtime's quantiser takes them."""
        return {"ActivationSymmetric": self.signed, "WeightSymmetric": True, "QuantizeBias": not self.signed}


FLAVOURS: dict[Precision, Flavour] = {"int8": Flavour(signed=False), "int8s": Flavour(signed=True)}


def statistics(model: onnx.ModelProto, images: Pixels, *, histograms: bool = False) -> Statistics:
    """What the activations that int8 concerns reach on `images`, uint8 [N, H, W, 3]. `InputError` when these cannot
    show it.
    """
    if images.min() == images.max():
        raise InputError("the calibration images are all of one colour: int8 ranges cannot be measured on them")
    return measure(model, _activations(model), images, histograms=histograms)


def quantise(
    model: onnx.ModelProto,
    flavour: Flavour,
    ranges: Mapping[str, Range],
    *,
    only: Collection[str] = (),
    without: Collection[str] = (),
) -> onnx.ModelProto:
    """The int8 form of a fp32 graph with these activation ranges: all nodes, or `only` some, or all `without` some."""
    library()  # its settings come before the import
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import add_infer_metadata

    source = onnx.shape_inference.infer_shapes(model)
    add_infer_metadata(source)  # or the quantiser does it again, through a file
    measured = {name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()}
    # The quantiser warns through the root logger, and prints.
    with quiet("", printing=True):
        quantiser = QDQQuantizer(
            source,
            per_channel=True,
            reduce_range=not flavour.signed,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if flavour.signed else QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, measured),
            nodes_to_quantize=list(only),
            nodes_to_exclude=list(without),
            op_types_to_quantize=QUANTISED,
            extra_options=flavour.options,
        )
        quantised: onnx.ModelProto = quantiser.quantize_model()
    join(quantised)
    quantiser.model.topological_sort()
    del quantised.metadata_props[:]  # the quantiser's note to itself
    onnx.checker.check_model(quantised, full_check=True)
    return quantised


def _activations(model: onnx.ModelProto) -> list[str]:
    """The float tensors, weights apart, that the operators read or write that are quantised."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    floats = {
        info.name
        for info in (*inferred.value_info, *inferred.output)
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    stored = {tensor.name for tensor in inferred.initializer}
    names = [
        name for node in inferred.node if node.op_type in QUANTISED for name in (*node.input, *node.output) if name
    ]
    return [name for name in dict.fromkeys(names) if name in floats and name not in stored]
