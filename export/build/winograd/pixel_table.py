"""QLevels in the place of everything between the image and the first quantiser.

These nodes treat every pixel by itself, so that each of the 256 uint8 values of a channel always becomes the same
quantised value: a table holds them all. It is filled by running that part of the graph on an image with every value.
"""

from __future__ import annotations

import numpy as np
import onnx

from export.build.winograd.operator import Operator
from export.build.winograd.quantised import QuantisedGraph
from zoo.engines.onnxruntime.session import CPU, library, session_options
from zoo.graphs.index import Array, attributes
from zoo.graphs.model import to_bytes

STEPS = frozenset({"Add", "Cast", "Clip", "Div", "Identity", "Mul", "Relu", "Sub"})


def pixel_table(graph: QuantisedGraph, quantiser: onnx.NodeProto) -> Operator | None:
    """The operator that ends in this QuantizeLinear, or None."""
    target = graph.target(quantiser)
    found = _steps(graph, quantiser.input[0])
    if target is None or found is None:
        return None
    steps, image = found
    shape = graph.shape(image)
    if not graph.is_uint8(image) or shape is None or len(shape) != 4 or shape[3] is None:
        return None
    table = _table(graph, [*steps, quantiser], image, shape[3])
    return Operator("QLevels", quantiser.name, image, target.tensor, {}, {"table": table}, from_image=True)


def _steps(graph: QuantisedGraph, name: str) -> tuple[list[onnx.NodeProto], str] | None:
    """The nodes from an input of the graph to the tensor `name`, and that input: steps that treat pixels alike, and one
    Transpose from NHWC to NCHW.
    """
    steps: list[onnx.NodeProto] = []
    turned = False
    while name not in graph.inputs:
        node = graph.maker(name)
        data = [] if node is None else [tensor for tensor in node.input if tensor and not graph.is_stored(tensor)]
        if node is None or len(data) != 1:
            return None
        if node.op_type == "Transpose":
            if turned or attributes(node).get("perm") != [0, 3, 1, 2]:
                return None
            turned = True
        elif node.op_type not in STEPS or not _by_channel(graph, node, axis=3 if turned else 1):
            return None
        steps.insert(0, node)
        name = data[0]
    return (steps, name) if turned else None


def _by_channel(graph: QuantisedGraph, node: onnx.NodeProto, axis: int) -> bool:
    """Whether what a step computes with is the same for all pixels."""
    for name in node.input:
        stored = graph.stored(name)
        if stored is None:
            continue
        sides = [1] * (4 - stored.ndim) + list(stored.shape)
        if len(sides) != 4 or any(side != 1 for place, side in enumerate(sides) if place != axis):
            return False
    return True


def _table(graph: QuantisedGraph, steps: list[onnx.NodeProto], image: str, channels: int) -> Array:
    """uint8 [C, 256]: the quantised value that each uint8 value of each channel becomes."""
    names = dict.fromkeys(name for node in steps for name in node.input if graph.is_stored(name))
    stored = [onnx.numpy_helper.from_array(graph.stored(name), name) for name in names]
    output = steps[-1].output[0]
    part = onnx.helper.make_graph(
        steps,
        "pixel_table",
        [onnx.helper.make_tensor_value_info(image, onnx.TensorProto.UINT8, [1, 16, 16, channels])],
        [onnx.helper.make_tensor_value_info(output, onnx.TensorProto.UINT8, [1, channels, 16, 16])],
        stored,
    )
    model = onnx.helper.make_model(part, opset_imports=graph.model.opset_import, ir_version=graph.model.ir_version)
    session = library().InferenceSession(to_bytes(model), session_options(1), providers=[CPU])
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(channels, axis=3)
    table: Array = session.run([output], {image: every})[0]
    return table.reshape(channels, 256)
