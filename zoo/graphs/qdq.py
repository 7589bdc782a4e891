"""Where the quantisers of a Q/DQ graph stand: none may lie between a layer and its activation.

Runtimes compute layer and activation as one, and the activation's range is what has to be told apart. A quantiser in
between costs the fusion, and spends levels on numbers that the activation throws away.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

ACTIVATIONS = frozenset({"Clip", "Relu"})
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add"})  # Add: a residual block ends in one


def stranded(model: onnx.ModelProto) -> list[str]:
    """The activations, by their node's name, that a quantiser separates from the layer they belong to."""
    return [activation.name for activation, _ in _separated(model)]


def join(model: onnx.ModelProto) -> None:
    """Let every stranded activation read its layer itself, and drop the quantisers that nothing reads any more."""
    for activation, layer_output in list(_separated(model)):
        activation.input[0] = layer_output
    graph = model.graph
    while True:
        read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
        unread = [
            node
            for node in graph.node
            if node.op_type in {"QuantizeLinear", "DequantizeLinear"} and not read & set(node.output)
        ]
        if not unread:
            break
        for node in unread:
            graph.node.remove(node)
    unused = [tensor for tensor in graph.initializer if tensor.name not in read]
    for tensor in unused:
        graph.initializer.remove(tensor)


def _separated(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Activations behind a Q/DQ pair, each with the output of the layer in front of the pair."""
    made = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type not in ACTIVATIONS:
            continue
        dequantised = made.get(node.input[0])
        if dequantised is None or dequantised.op_type != "DequantizeLinear":
            continue
        quantised = made.get(dequantised.input[0])
        if quantised is None or quantised.op_type != "QuantizeLinear":
            continue
        layer = made.get(quantised.input[0])
        if layer is not None and layer.op_type in LAYERS:
            yield node, quantised.input[0]
