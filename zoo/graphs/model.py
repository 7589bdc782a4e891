"""What every part of the project asks of an ONNX model in memory: version, weights, names of layers, its bytes."""

from __future__ import annotations

import onnx

from zoo.graphs.index import Index
from zoo.graphs.work import WEIGHTED


def opset(model: onnx.ModelProto) -> int:
    """The version of the default operator set."""
    return next(entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"})


def count(model: onnx.ModelProto, *types: str) -> int:
    """How many nodes have one of these operator types."""
    return sum(node.op_type in types for node in model.graph.node)


def weights(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """The stored weight of every Conv, Gemm and MatMul node, by the node's name; behind a DequantizeLinear or not."""
    graph = Index(model)
    heavy = [node for node in graph.nodes if node.op_type in WEIGHTED]
    found = {node.name: graph.tensor(graph.behind(node.input[1], "DequantizeLinear")) for node in heavy}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def layer_names(model: onnx.ModelProto) -> dict[str, str]:
    """What a person calls the weighted nodes: the module that the weight belongs to, or the node's own name."""
    found = {}
    for name, tensor in weights(model).items():
        layer = tensor.name.removesuffix("_quantized").removesuffix(".weight")
        while layer.startswith("network."):  # the normalisation and what else was put around the network
            layer = layer.removeprefix("network.")
        found[name] = layer if tensor.name.removesuffix("_quantized").endswith(".weight") else name
    return found


def to_bytes(model: onnx.ModelProto) -> bytes:
    """The file's content, the same for the same graph."""
    return model.SerializeToString(deterministic=True)


def strip(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces that hold local paths, and nothing that computes."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.metadata_props[:]
    model.doc_string = ""
    graph.name = "distilzoo"
