"""What an ONNX graph costs: parameters and multiply-accumulates for one image, from its shapes."""

from __future__ import annotations

import math

import onnx

from export.onnx import WEIGHTED
from zoo.engines.manifest import Cost

FLOATS = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16}


def cost(model: onnx.ModelProto) -> Cost:
    """Counted like a torch network's: the MACs of Conv, Gemm and MatMul. Folded statistics are no buffers any more."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    stored = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes = {
        info.name: [side.dim_value or 1 for side in info.type.tensor_type.shape.dim]  # a batch of one
        for info in (*graph.value_info, *graph.input, *graph.output)
    } | stored
    parameters = sum(math.prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in FLOATS)
    macs = 0
    for node in graph.node:
        if node.op_type not in WEIGHTED or node.output[0] not in shapes or node.input[1] not in shapes:
            continue
        written, weight = math.prod(shapes[node.output[0]]), shapes[node.input[1]]
        if node.op_type == "Conv":
            macs += written * math.prod(weight[1:])  # [out, in / groups, height, width]
        elif node.op_type == "Gemm":
            flipped = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
            macs += written * weight[1 if flipped else 0]
        else:
            macs += written * weight[-2 if len(weight) > 1 else 0]
    return Cost(parameters=parameters, buffers=0, macs=macs)
