"""Operations and bytes of three networks, counted by hand, in the flavours that bundles hold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser
from onnxconverter_common.float16 import convert_float_to_float16

from export.packing.macs import cost
from export.packing.quantise.quantize import FLAVOURS, quantise, statistics
from zoo.graphs.work import Work, products, work
from zoo.preprocess import Pixels

WIDTHS = {"fp32": 4, "fp16": 2, "int8": 1}


def network(side: int, outputs: int, body: str, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """A graph with a bundle's signature: `body` makes `logits` of `x`, float [N, 3, side, side]; random weights."""
    model = parser.parse_model(f"""
        <ir_version: 10, opset_import: ["" : 20]>
        net (uint8[N, {side}, {side}, 3] image) => (float[N, {outputs}] logits)
        {{
          float = Cast <to = 1> (image)
          x = Transpose <perm = [0, 3, 1, 2]> (float)
          {body}
        }}""")
    random = np.random.default_rng(1)
    for name, shape in weights.items():
        model.graph.initializer.append(numpy_helper.from_array(random.normal(0, 0.1, shape).astype(np.float32), name))
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"
    onnx.checker.check_model(model, full_check=True)
    return model


def plain() -> onnx.ModelProto:
    """6 x 6 -> 4 channels of 4 x 4 -> 5 outputs."""
    body = "c = Conv (x, w1)  r = Relu (c)  f = Flatten (r)  logits = Gemm <transB = 1> (f, w2)"
    return network(6, 5, body, w1=(4, 3, 3, 3), w2=(5, 64))


def separable() -> onnx.ModelProto:
    """8 x 8 -> 4 channels of 4 x 4, a depthwise and a pointwise layer there -> mean -> 2 outputs."""
    body = """
        a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, w1)  ra = Relu (a)
        b = Conv <group = 4, pads = [1, 1, 1, 1]> (ra, w2)  rb = Relu (b)
        c = Conv (rb, w3)  g = GlobalAveragePool (c)  f = Flatten (g)  logits = Gemm (f, w4)"""
    return network(8, 2, body, w1=(4, 3, 3, 3), w2=(4, 1, 3, 3), w3=(6, 4, 1, 1), w4=(6, 2))


def residual() -> onnx.ModelProto:
    """4 x 4 -> 2 channels of one pixel, a block of two 3 x 3 layers there with a way around it -> 3 outputs."""
    body = """
        s = Conv <strides = [4, 4]> (x, w1)
        a = Conv <pads = [1, 1, 1, 1]> (s, w2)  r = Relu (a)
        b = Conv <auto_pad = "SAME_UPPER"> (r, w3)  y = Add (s, b)
        f = Flatten (y)  logits = MatMul (f, w4)"""
    return network(4, 3, body, w1=(2, 3, 4, 4), w2=(2, 2, 3, 3), w3=(2, 2, 3, 3), w4=(2, 3))


# By hand: MACs as everybody counts them, those that are needed, weights, bytes of both ends.
# Plain: 64 outputs of 27 terms, then 64 x 5. Separable: along an axis of 8 with stride 2, the first of three taps meets
# the image in 3 of 4 places, the others in 4: (3 + 4 + 4)^2 x 3 x 4; depthwise along 4, stride 1: (3 + 4 + 3)^2 x 4;
# then 16 x 4 x 6 and 6 x 2. Residual: 2 outputs of 48 terms; on one pixel only the middle of a 3 x 3 kernel meets
# anything: 2 x 2 MACs and 2 x 2 weights, twice; then 2 x 3.
NETWORKS = {
    "plain": (plain, 64 * 27 + 64 * 5, 64 * 27 + 64 * 5, 4 * 27 + 320, 6 * 6 * 3 + 5 * 4),
    "separable": (
        separable,
        16 * 27 * 4 + 16 * 9 * 4 + 16 * 24 + 12,
        121 * 12 + 100 * 4 + 16 * 24 + 12,
        108 + 36 + 24 + 12,
        8 * 8 * 3 + 2 * 4,
    ),
    "residual": (residual, 96 + 36 + 36 + 6, 96 + 4 + 4 + 6, 96 + 4 + 4 + 6, 4 * 4 * 3 + 3 * 4),
}


def flavoured(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """The graph as `zoo export` packs it."""
    if precision == "fp16":
        return convert_float_to_float16(model, keep_io_types=True)
    if precision == "int8":
        side = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
        images: Pixels = np.random.default_rng(2).integers(0, 256, (8, side, side, 3), dtype=np.uint8)
        return quantise(model, FLAVOURS["int8"], statistics(model, images).cut("minmax"))
    return model


@pytest.mark.parametrize("precision", WIDTHS)
@pytest.mark.parametrize("name", NETWORKS)
def test_operations_and_bytes_are_those_of_a_hand_count(name: str, precision: str) -> None:
    build, _, needed, weights, ends = NETWORKS[name]
    found = work(flavoured(build(), precision))
    assert found == Work({precision: 2 * needed}, {precision: weights * WIDTHS[precision]}, ends)


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_are_still_those_that_everybody_counts(name: str) -> None:
    build, macs, *_ = NETWORKS[name]
    assert cost(build()).macs == macs


def test_a_weight_that_two_layers_share_is_read_once_and_one_that_is_an_activation_never() -> None:
    body = """
        form = Constant <value_ints = [0, 3, 16]> ()  last = Constant <value_ints = [2]> ()
        a = Conv (x, w1)  b = Conv (a, w1)  flat = Reshape (b, form)
        turned = Transpose <perm = [0, 2, 1]> (flat)  mixed = MatMul (flat, turned)
        logits = ReduceMean <keepdims = 0> (mixed, last)"""
    model = network(4, 3, body, w1=(3, 3, 1, 1))
    found = work(model)
    assert found.operations == {"fp32": 2 * (2 * 16 * 9 + 3 * 16 * 3)}
    assert found.weights == {"fp32": 9 * 4}
    assert [product.weight for product in products(model)] == ["w1", "w1", ""]


def test_layers_that_stay_in_fp32_count_as_fp32() -> None:
    model = plain()
    images = np.random.default_rng(2).integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
    gemm = next(node.name for node in model.graph.node if node.op_type == "Gemm")
    found = work(quantise(model, FLAVOURS["int8"], statistics(model, images).cut("minmax"), without=[gemm]))
    assert found.operations == {"int8": 2 * 64 * 27, "fp32": 2 * 320}
    assert found.weights == {"int8": 108, "fp32": 4 * 320}
