"""QConv in the place of a convolution with its activation and quantiser, or of a residual block's end."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx

from export.build.winograd.operator import Operator
from export.build.winograd.quantised import Quantised, QuantisedGraph
from zoo.graphs.index import Array, attributes

LOWEST, HIGHEST = 0, 255
HEAVIEST = 64  # of a weight: sums of two products with a uint8 fit into 16 bits


@dataclass(frozen=True)
class _Layer:
    """A convolution that QConv can compute. `weights` int8 [OC, KH, KW, C / group], `scales` and `bias` [OC]."""

    node: onnx.NodeProto
    source: Quantised
    weights: Array
    scales: Array
    bias: Array
    group: int


def convolution(graph: QuantisedGraph, quantiser: onnx.NodeProto) -> Operator | None:
    """The operator that ends in this QuantizeLinear, or None."""
    target = graph.target(quantiser)
    if target is None:
        return None
    found = _limits(graph, quantiser.input[0], target)
    if found is None:
        return None
    name, low, high = found
    if not graph.read_once(name):
        return None
    if conv := graph.maker(name, "Conv"):
        layer = _layer(graph, conv)
        return None if layer is None else _operator(layer, target, low, high)
    if add := graph.maker(name, "Add"):
        return _with_residual(graph, add, target, low, high)
    return None


def _limits(graph: QuantisedGraph, name: str, target: Quantised) -> tuple[str, int, int] | None:
    """The tensor in front of the activation, if there is one, and the lowest and highest uint8 that the activation lets
    through. Rounding is monotonous: limits before it are limits after it.
    """
    node = graph.maker(name, "Relu", "Clip")
    if node is None:
        return name, LOWEST, HIGHEST
    if not graph.read_once(name):
        return None
    bounds: list[float | None] = [0.0, None]
    if node.op_type == "Clip":
        if node.attribute:  # before opset 11
            return None
        bounds = [None, None]
        for place, bound in enumerate(node.input[1:]):
            if bound:
                value = graph.stored(bound)
                if value is None:
                    return None
                bounds[place] = float(value.item())
    low = LOWEST if bounds[0] is None else _quantised(bounds[0], target)
    high = HIGHEST if bounds[1] is None else _quantised(bounds[1], target)
    return node.input[0], low, high


def _quantised(value: float, target: Quantised) -> int:
    rounded = np.rint(np.float32(value) / np.float32(target.scale)) + target.zero
    return int(np.clip(rounded, LOWEST, HIGHEST))


def _with_residual(
    graph: QuantisedGraph, add: onnx.NodeProto, target: Quantised, low: int, high: int
) -> Operator | None:
    """Of two convolutions that meet in an Add, the heavier one takes it along: it waits for the other one."""
    first, second = add.input
    branches = [
        (layer, graph.source(other))
        for layer, other in ((_branch(graph, first), second), (_branch(graph, second), first))
        if layer is not None
    ]
    fit = [(layer, other) for layer, other in branches if other is not None]
    if not fit or not _same_maps(graph, first, second):
        return None
    layer, residual = max(
        fit, key=lambda pair: (math.prod(pair[0].weights.shape[1:]), graph.place(pair[0].node.output[0]))
    )
    return _operator(layer, target, low, high, residual)


def _same_maps(graph: QuantisedGraph, first: str, second: str) -> bool:
    """Whether two tensors are known to be of one shape; the batch size, which may be open, is the image's in both."""
    one, other = graph.shape(first) or [], graph.shape(second) or []
    return len(one) == len(other) == 4 and None not in one[1:] and one[1:] == other[1:]


def _branch(graph: QuantisedGraph, name: str) -> _Layer | None:
    """The convolution whose quantised output an Add alone reads as `name`.

    Where the zero point of a quantiser is 0 or 255, an activation may have been merged into it: the Add then cannot do
    without it.
    """
    source = graph.source(name)
    if source is None or not LOWEST < source.zero < HIGHEST:
        return None
    quantiser = graph.maker(source.tensor, "QuantizeLinear")
    if quantiser is None or graph.target(quantiser) != source:
        return None
    conv = graph.maker(quantiser.input[0], "Conv")
    alone = all(graph.read_once(tensor) for tensor in (name, source.tensor, quantiser.input[0]))
    return _layer(graph, conv) if conv is not None and alone else None


def _layer(graph: QuantisedGraph, node: onnx.NodeProto) -> _Layer | None:
    about = attributes(node)
    source = graph.source(node.input[0])
    found = _weights(graph, node.input[1])
    if source is None or found is None:
        return None
    weights, scales = found
    group = int(about.get("group", 1))
    depthwise = group == weights.shape[0] and weights.shape[1] == 1
    plain = about.get("auto_pad", b"NOTSET") == b"NOTSET" and set(about.get("dilations", [1])) == {1}
    plain = plain and max(about.get("pads", [0])) < min(weights.shape[2:])
    bias = _bias(graph, node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(len(weights))
    if not plain or bias is None or not (group == 1 or depthwise):
        return None
    return _Layer(node, source, weights.transpose(0, 2, 3, 1), scales, bias, group)


def _weights(graph: QuantisedGraph, name: str) -> tuple[Array, Array] | None:
    """Stored weights [OC, C / group, KH, KW] of 7 bits without a zero point, and a scale for each of their channels."""
    node = graph.maker(name, "DequantizeLinear")
    weights = None if node is None else graph.stored(node.input[0])
    if node is None or weights is None or weights.dtype != np.int8 or weights.ndim != 4:
        return None
    if np.abs(weights.astype(np.int16)).max() > HEAVIEST:
        return None
    scales = graph.stored(node.input[1])
    zeros = graph.stored(node.input[2]) if len(node.input) > 2 else np.zeros(1)
    if scales is None or zeros is None or zeros.any():
        return None
    per_channel = scales.shape == weights.shape[:1] and attributes(node).get("axis", 1) == 0
    if scales.size != 1 and not per_channel:
        return None
    return weights, np.broadcast_to(scales.astype(np.float64).ravel(), weights.shape[:1])


def _bias(graph: QuantisedGraph, name: str) -> Array | None:
    """The stored bias as real numbers."""
    node = graph.maker(name, "DequantizeLinear")
    if node is None:
        bias = graph.stored(name)
        return None if bias is None else bias.astype(np.float64)
    integers, scales = graph.stored(node.input[0]), graph.stored(node.input[1])
    zeros = graph.stored(node.input[2]) if len(node.input) > 2 else np.zeros(1)
    if integers is None or scales is None or zeros is None:
        return None
    return (integers.astype(np.float64) - zeros.astype(np.float64)) * scales.astype(np.float64)


def _operator(layer: _Layer, target: Quantised, low: int, high: int, residual: Quantised | None = None) -> Operator:
    about = attributes(layer.node)
    share = 0.0 if residual is None else residual.scale / target.scale
    offset = layer.bias / target.scale + target.zero - share * (0 if residual is None else residual.zero)
    return Operator(
        kind="QConv",
        name=layer.node.name,
        source=layer.source.tensor,
        output=target.tensor,
        settings={
            "strides": list(about.get("strides", [1, 1])),
            "pads": list(about.get("pads", [0, 0, 0, 0])),
            "group": layer.group,
            "x_zero": layer.source.zero,
            "residual_multiplier": share,
            "low": low,
            "high": high,
        },
        stored={
            "weights": np.ascontiguousarray(layer.weights),
            "multiplier": (layer.source.scale * layer.scales / target.scale).astype(np.float32),
            "offset": offset.astype(np.float32),
        },
        residual=None if residual is None else residual.tensor,
    )
