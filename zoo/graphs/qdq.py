"""Where the quantisers of a Q/DQ graph stand: none may lie between a layer and its activation.

Runtimes compute layer and activation as one, and the activation's range is what has to be told apart. A quantiser in
between costs the fusion, and spends levels on numbers that the activation throws away.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from zoo.graphs.index import Index, drop_unread, reads

ACTIVATIONS = frozenset({"Clip", "Relu"})
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "Add"})  # Add: a residual block ends in one


def stranded(model: onnx.ModelProto) -> list[str]:
    """The activations, by their node's name, that a quantiser separates from the layer they belong to."""
    return [activation.name for activation, _ in _separated(model)]


def join(model: onnx.ModelProto) -> None:
    """Let every stranded activation read its layer itself, and drop the quantisers that nothing reads any more."""
    for activation, layer_output in list(_separated(model)):
        activation.input[0] = layer_output
    drop_unread(model, "QuantizeLinear", "DequantizeLinear")
    graph = model.graph
    read = {name for node in graph.node for name in reads(node)} | {output.name for output in graph.output}
    unused = [tensor for tensor in graph.initializer if tensor.name not in read]
    for tensor in unused:
        graph.initializer.remove(tensor)


def _separated(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Activations behind a Q/DQ pair, each with the output of the layer in front of the pair."""
    graph = Index(model)
    for node in graph.nodes:
        if node.op_type not in ACTIVATIONS:
            continue
        dequantised = graph.maker(node.input[0], "DequantizeLinear")
        quantised = dequantised and graph.maker(dequantised.input[0], "QuantizeLinear")
        if quantised and graph.maker(quantised.input[0], *LAYERS):
            yield node, quantised.input[0]
