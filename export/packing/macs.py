"""What an ONNX graph costs: parameters and multiply-accumulates for one image, from its shapes."""

from __future__ import annotations

import math

import onnx

from zoo.bundle.manifest import Cost
from zoo.graphs.work import products

FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}


def cost(model: onnx.ModelProto) -> Cost:
    """Counted like a torch network's: the MACs of Conv, Gemm and MatMul. Folded statistics are no buffers any more."""
    parameters = sum(math.prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type in FLOATS)
    return Cost(parameters=parameters, buffers=0, macs=sum(product.macs for product in products(model)))
