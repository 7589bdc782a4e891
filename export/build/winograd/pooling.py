"""QMaxPool and QMean in the place of a pool between two quantisers."""

from __future__ import annotations

import math

import onnx

from export.build.winograd.operator import Operator
from export.build.winograd.quantised import QuantisedGraph
from zoo.graphs.index import attributes

FLATTENING = ("Reshape", "Flatten", "Squeeze")


def max_pool(graph: QuantisedGraph, quantiser: onnx.NodeProto) -> Operator | None:
    """The operator that ends in this QuantizeLinear, or None. The largest uint8 stands for the largest number."""
    target, name = graph.target(quantiser), quantiser.input[0]
    node = graph.maker(name, "MaxPool")
    if target is None or node is None or not graph.read_once(name) or len(node.output) != 1:
        return None
    source, about = graph.source(node.input[0]), attributes(node)
    if source is None or (source.scale, source.zero) != (target.scale, target.zero) or len(about["kernel_shape"]) != 2:
        return None
    plain = about.get("auto_pad", b"NOTSET") == b"NOTSET" and not about.get("ceil_mode", 0)
    if not plain or set(about.get("dilations", [1])) != {1}:
        return None
    settings = {
        "kernel_shape": list(about["kernel_shape"]),
        "strides": list(about.get("strides", [1, 1])),
        "pads": list(about.get("pads", [0, 0, 0, 0])),
    }
    return Operator("QMaxPool", node.name, source.tensor, target.tensor, settings, {})


def mean(graph: QuantisedGraph, quantiser: onnx.NodeProto) -> Operator | None:
    """The same for a mean over all pixels, whose output is [N, C]."""
    target, name = graph.target(quantiser), quantiser.input[0]
    if target is None or not graph.read_once(name):
        return None
    if (flattening := graph.maker(name, *FLATTENING)) is not None:
        name = flattening.input[0]
    node = graph.maker(name, "ReduceMean", "GlobalAveragePool")
    if node is None or not graph.read_once(name):
        return None
    source = graph.source(node.input[0])
    maps = None if source is None else graph.shape(source.tensor)
    if source is None or maps is None or len(maps) != 4 or not _spatial(graph, node):
        return None
    sides = [side for side in maps[2:] if side is not None]
    if maps[1] is None or len(sides) != 2:
        return None
    shape = graph.shape(quantiser.output[0])
    if shape is None or len(shape) != 2 or shape[1] != maps[1]:
        return None
    ratio = source.scale / target.scale
    settings = {"multiplier": ratio / math.prod(sides), "offset": target.zero - source.zero * ratio}
    return Operator("QMean", node.name, source.tensor, target.tensor, settings, {}, flat=True)


def _spatial(graph: QuantisedGraph, node: onnx.NodeProto) -> bool:
    """Whether the mean is that of a map's two last sides."""
    if node.op_type == "GlobalAveragePool":
        return True
    axes = attributes(node).get("axes")  # before opset 18
    if axes is None and len(node.input) > 1:
        axes = graph.stored(node.input[1])
    return axes is not None and {int(axis) % 4 for axis in axes} == {2, 3}
