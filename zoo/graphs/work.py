"""The work of an ONNX graph, from its shapes: what any engine that runs it has to compute and to read, at the least.

Counted are the products (Conv, Gemm, MatMul): what stands between them is small, and a good engine computes it on the
way. No layer's output is counted as memory traffic, because it may stay in a cache. Multiplying with the zeros around
an image is left out, because kernels skip it: on the last maps of a network for small pictures, of 1 x 1 or 2 x 2
pixels, these are most of the multiplications, and the parts of the weights that meet nothing else are not read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from zoo.errors import missing_package
from zoo.graphs.index import Index

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})  # the operators that do a network's arithmetic
# What changes a tensor's form and none of its numbers: a weight is looked for behind them.
MOVES = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast"})
KEPT = 1024  # elements: initialisers up to here may be shapes, which shape inference reads


@dataclass(frozen=True)
class Product:
    """One Conv, Gemm or MatMul, for one image.

    `macs`: as everybody counts them, padding included; `needed`: those whose factors are both part of the data.
    `arithmetic`: fp32, fp16, bf16, or int8 where both factors come out of a DequantizeLinear. `weight`: the name of the
    stored tensor that it multiplies with, "" if there is none; `weight_bytes`: what it needs of it, as stored, and
    `stored` its number format.
    """

    name: str
    kind: str
    macs: int
    needed: int
    arithmetic: str
    weight: str
    weight_bytes: int
    stored: str


@dataclass(frozen=True)
class Work:
    """What one image costs.

    `operations` (two for each needed MAC) by arithmetic, `weights` in bytes by number format, and `ends`: the bytes of
    the graph's own input and output.
    """

    operations: dict[str, int]
    weights: dict[str, int]
    ends: int


def read_work(path: Path) -> Work:
    """The work of a graph file. `EnvironmentProblem` when the package onnx is missing."""
    try:
        import onnx
    except ImportError:
        raise missing_package("onnx", "export", "counting a graph's work") from None
    return work(onnx.load(path))


def work(model: Any) -> Work:
    """The work of an `onnx.ModelProto`; a weight that several layers share is read once."""
    inferred = _inferred(model)
    operations: Counter[str] = Counter()
    weights: dict[str, tuple[str, int]] = {}
    for product in _products(inferred):
        operations[product.arithmetic] += 2 * product.needed
        if product.weight:
            before = weights.get(product.weight, ("", 0))[1]
            weights[product.weight] = product.stored, max(before, product.weight_bytes)
    stored: Counter[str] = Counter()
    for number_format, size in weights.values():
        stored[number_format] += size
    ends = sum(_bytes(inferred, name) for name in (*inferred.inputs, *inferred.outputs))
    return Work(dict(operations), dict(stored), ends)


def products(model: Any) -> list[Product]:
    """The products of an `onnx.ModelProto`, in its order; those whose shapes cannot be inferred are left out."""
    return list(_products(_inferred(model)))


def _inferred(model: Any) -> Index:
    """The graph with every shape that can be known, for a batch of one, and without the numbers of its weights."""
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    source, graph = model.graph, light.graph
    graph.name = source.name
    graph.node.extend(source.node)
    graph.input.extend(source.input)
    graph.output.extend(source.output)
    graph.value_info.extend(source.value_info)
    for info in graph.input:
        sides = info.type.tensor_type.shape.dim
        if sides and not sides[0].dim_value:
            sides[0].dim_value = 1  # and a Reshape to "as many as there are" gets a number, too
    for tensor in source.initializer:
        if math.prod(tensor.dims) <= KEPT:
            graph.initializer.append(tensor)
        else:
            graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    return Index(onnx.shape_inference.infer_shapes(light, data_prop=True))


def _products(graph: Index) -> Iterator[Product]:
    for node in graph.nodes:
        if node.op_type not in WEIGHTED:
            continue
        output, factor = _sides(graph, node.output[0]), _sides(graph, node.input[1])
        if output is None or factor is None:
            continue
        factors = [graph.behind(name, *MOVES) for name in node.input[:2]]
        dequantised = all(graph.maker(name, "DequantizeLinear") is not None for name in factors)
        weight = graph.behind(factors[1], *MOVES, "DequantizeLinear")
        stored = _sides(graph, weight) if graph.is_stored(weight) else None
        macs = math.prod(output) * _terms(node, factor)
        met, read = Fraction(1), Fraction(1)
        if node.op_type == "Conv":
            met, read = _inside(node, _sides(graph, node.input[0]) or [], output, factor)
        yield Product(
            name=node.name,
            kind=node.op_type,
            macs=macs,
            needed=round(macs * met),
            arithmetic="int8" if dequantised else _format(graph.type_of(node.input[1])),
            weight="" if stored is None else weight,
            weight_bytes=0 if stored is None else round(math.prod(stored) * _width(graph.type_of(weight)) * read),
            stored="" if stored is None else _format(graph.type_of(weight)),
        )


def _terms(node: Any, weight: list[int]) -> int:
    """How many products are summed up for one number of the output."""
    if node.op_type == "Conv":
        return math.prod(weight[1:])  # [out, in / groups, height, width]
    if node.op_type == "Gemm":
        flipped = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        return weight[1 if flipped else 0]
    return weight[-2 if len(weight) > 1 else 0]


def _inside(node: Any, image: list[int], output: list[int], weight: list[int]) -> tuple[Fraction, Fraction]:
    """The share of a convolution's multiplications that meet the image and not its padding, and the share of its
    weights that ever do; both 1 where the image's size is not known.
    """
    sides, outputs, kernel = image[2:], output[2:], weight[2:]
    if len(sides) != len(kernel):
        return Fraction(1), Fraction(1)
    given = {attribute.name: attribute for attribute in node.attribute}
    ones = [1] * len(kernel)
    strides = list(given["strides"].ints) if "strides" in given else ones
    dilations = list(given["dilations"].ints) if "dilations" in given else ones
    before = list(given["pads"].ints)[: len(kernel)] if "pads" in given else [0] * len(kernel)
    automatic = given["auto_pad"].s.decode() if "auto_pad" in given else "NOTSET"
    met = read = Fraction(1)
    for side, places, taps, stride, dilation, pad in zip(
        sides, outputs, kernel, strides, dilations, before, strict=True
    ):
        if automatic.startswith("SAME"):
            missing = max((places - 1) * stride + (taps - 1) * dilation + 1 - side, 0)
            pad = missing // 2 if automatic == "SAME_UPPER" else (missing + 1) // 2
        hits = [
            sum(0 <= place * stride - pad + tap * dilation < side for place in range(places)) for tap in range(taps)
        ]
        met *= Fraction(sum(hits), places * taps)
        read *= Fraction(sum(hit > 0 for hit in hits), taps)
    return met, read


def _sides(graph: Index, name: str) -> list[int] | None:
    """A tensor's shape for one image: what is open is the batch. None where the shape is not known."""
    shape = graph.shape(name)
    return None if shape is None else [side or 1 for side in shape]


def _bytes(graph: Index, name: str) -> int:
    return math.prod(_sides(graph, name) or []) * _width(graph.type_of(name))


def _width(element: int) -> int:
    """Bytes of one number."""
    import onnx

    return int(onnx.helper.tensor_dtype_to_np_dtype(element).itemsize)


def _format(element: int) -> str:
    """A number format in our words; what is no float of 16 bits and no integer of 8 is taken for fp32."""
    import onnx

    known = {"FLOAT16": "fp16", "BFLOAT16": "bf16", "INT8": "int8", "UINT8": "int8"}
    return known.get(onnx.TensorProto.DataType.Name(element), "fp32")
