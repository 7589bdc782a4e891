"""The rewritten graph against the int8 graph that it was made of: operators in NumPy against ONNX Runtime."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from export.build.winograd.rewrite import rewritten
from tests.support.int8_operators import Qdq, answer
from zoo.engines.registry import backend_class
from zoo.errors import InputError
from zoo.graphs.model import to_bytes


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth ones, and one that is only noise."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (3, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    noise = random.integers(0, 256, (3, 32, 32, 3))
    return np.clip(coarse + (noise - 128) // [[[[8]]], [[[4]]], [[[1]]]], 0, 255).astype(np.uint8)


def kinds(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def convs(model: onnx.ModelProto) -> list[dict]:
    """The settings of every QConv; `residual`: whether it has one."""
    found = []
    for node in model.graph.node:
        if node.op_type == "QConv":
            about = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
            found.append(about | {"residual": len(node.input) == 5, "name": node.name})
    return found


def original(model: onnx.ModelProto, images: np.ndarray, folder) -> np.ndarray:
    onnx.save(model, folder / "m.onnx")
    return backend_class("onnxruntime")(folder / "m.onnx", precision="int8", device="cpu", threads=1).run(images)


def same(
    graph: Qdq, output: str, shape: list, images: np.ndarray, folder, steps: int = 1, mean: float = 0.02
) -> onnx.ModelProto:
    """The rewritten graph, whose answers are at most so many of the output's steps off, and so many in the mean."""
    model = graph.model(output, shape)
    new, _ = rewritten(model)
    expected, answers = original(model, images, folder), answer(new, images)
    difference = np.abs(answers - expected) / graph.ranges[output][0]
    assert difference.max() <= steps + 1e-3
    assert difference.mean() < mean
    assert len(np.unique(np.rint(expected / graph.ranges[output][0]))) > 60  # the levels are not all at one end
    return new


def test_convolutions_of_every_form(images, tmp_path):
    """Strided, 1x1, depthwise, unevenly padded; biases of three kinds; one scale or many; behind any zero point."""
    graph = Qdq()
    x = graph.conv(graph.image, 16, stride=2, bias="float", zero=60)
    x = graph.conv(x, 24, 1, bias="none")
    x = graph.conv(x, 24, group=24, zero=90)
    x = graph.conv(x, 16, per_channel=False, pads=[0, 2, 1, 0])
    new = same(graph, x, [16, 15, 16], images, tmp_path)
    assert kinds(new) == {"QLevels": 1, "QConv": 4, "Transpose": 1, "DequantizeLinear": 1}
    assert [about["group"] for about in convs(new)] == [1, 1, 24, 1]
    assert convs(new)[3]["pads"] == [0, 2, 1, 0]
    assert [about["x_zero"] for about in convs(new)] == [117, 60, 121, 90]


def test_the_tables_are_exact(images, tmp_path):
    graph = Qdq()
    x = graph.conv(graph.image, 8)
    new, _ = rewritten(graph.model(x, [8, 32, 32]))
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in new.graph.initializer}
    table = next(array for name, array in stored.items() if name.endswith("/table"))
    levels = np.arange(256, dtype=np.float32)
    for channel, mean in enumerate((120, 110, 100)):
        expected = np.rint((levels - np.float32(mean)) / np.float32(60) / np.float32(0.0172)) + 117
        np.testing.assert_array_equal(table[channel], expected.clip(0, 255))


def test_activations_that_are_written_out_become_limits(images, tmp_path):
    graph = Qdq()
    x = graph.conv(graph.image, 16, relu=True, zero=40)
    x = graph.conv(x, 16, clip=(-50, 70), zero=100)
    new = same(graph, x, [16, 32, 32], images, tmp_path)
    assert [(about["low"], about["high"]) for about in convs(new)] == [(40, 255), (50, 170)]
    assert not {"Relu", "Clip"} & kinds(new).keys()


def test_a_residual_is_added_before_the_only_rounding(images, tmp_path):
    """Of two convolutions that meet, the heavier one takes the other along; whatever the order of the Add's inputs."""
    graph = Qdq()
    first = graph.conv(graph.image, 16, stride=2, zero=0)
    thin = graph.conv(first, 24, 1, stride=2, spread=20)
    heavy = graph.conv(graph.conv(first, 24, stride=2, zero=0), 24, spread=20)
    met = graph.add(thin, heavy)
    last = graph.add(graph.conv(met, 24, spread=20), met, zero=80)
    new = same(graph, last, [24, 8, 8], images, tmp_path, steps=2, mean=0.4)
    assert kinds(new) == {"QLevels": 1, "QConv": 5, "Transpose": 1, "DequantizeLinear": 1}
    assert [about["residual"] for about in convs(new)] == [False, False, False, True, True]


def test_an_activation_inside_a_quantiser_is_not_left_out(images, tmp_path):
    """Zero is the lowest level: what is below was cut off there, and the Add has to see it so."""
    graph = Qdq()
    first = graph.conv(graph.image, 16)
    last = graph.add(graph.conv(first, 16, zero=0), graph.conv(first, 16, zero=0), zero=20)
    new = same(graph, last, [16, 32, 32], images, tmp_path)
    assert kinds(new)["Add"] == 1
    assert not any(about["residual"] for about in convs(new))


def test_what_is_read_elsewhere_is_still_made(images, tmp_path):
    """The convolution in front of the Add is read by a third layer, so that its own rounding stays."""
    graph = Qdq()
    first = graph.conv(graph.image, 16)
    inner = graph.conv(first, 16)
    met = graph.add(inner, first)
    last = graph.add(graph.conv(inner, 16, 1, spread=10), met)
    new = same(graph, last, [16, 32, 32], images, tmp_path, mean=0.4)
    assert kinds(new)["Add"] == 1
    assert [about["residual"] for about in convs(new)] == [False, False, True]


@pytest.mark.parametrize("opset", [13, 20])
def test_pools(images, tmp_path, opset):
    """The mean as a head: [N, C], behind every way to write it."""
    for head in ("ReduceMean", "GlobalAveragePool"):
        graph = Qdq(opset)
        x = graph.conv(graph.image, 16, zero=30)
        x = graph.like("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        x = graph.conv(x, 16)
        axes = graph.stored(np.array([-1, -2], np.int64)) if opset >= 18 else None
        if head == "GlobalAveragePool":
            x, scale = graph.node("Flatten", [graph.node(head, [x])]), graph.ranges[x][0]
        elif axes is None:
            mean, scale = graph.node(head, [x], axes=[2, 3], keepdims=1), graph.ranges[x][0]
            x = graph.node("Reshape", [mean, graph.stored(np.array([-1, 16], np.int64))])
        else:
            x, scale = graph.node(head, [x, axes], keepdims=0), graph.ranges[x][0]
        x = graph.quantised(x, scale / 6, 110, 16)
        model = graph.model(x, [16])
        new, share = rewritten(model)
        assert share == 1
        assert kinds(new) == {"QLevels": 1, "QConv": 2, "QMaxPool": 1, "QMean": 1, "DequantizeLinear": 1}
        if opset >= 18:  # onnx's own evaluator knows no older DequantizeLinear
            difference = np.abs(answer(new, images) - original(model, images, tmp_path)) / graph.ranges[x][0]
            assert difference.max() <= 1.001


def test_what_does_not_fit_stays_with_onnx_runtime(images, tmp_path):
    """In the middle, read on both sides, between maps turned there and back."""
    graph = Qdq()
    x = graph.conv(graph.image, 32)
    dilated = graph.conv(x, 32, 1, dilation=2)
    grouped = graph.conv(x, 32, 1, group=4)
    met = graph.add(dilated, grouped)
    hard = graph.quantised(graph.node("HardSwish", [met]), graph.ranges[met][0], 30, 32)
    odd = graph.like("MaxPool", hard, kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0], ceil_mode=1)
    x = graph.conv(odd, 32)
    new = same(graph, x, [32, 16, 16], images, tmp_path, steps=2)
    assert kinds(new).keys() >= {"Conv", "Add", "HardSwish", "MaxPool", "QConv"}
    assert (kinds(new)["Conv"], kinds(new)["QConv"]) == (2, 2)
    turned = [node for node in new.graph.node if node.op_type == "Transpose"]
    assert [list(node.attribute[0].ints) for node in turned] == [[0, 3, 1, 2], [0, 2, 3, 1], [0, 3, 1, 2]]
    assert kinds(new)["QMaxPool"] == 0


def test_weights_of_8_bits_stay_with_onnx_runtime(images, tmp_path):
    """Sums of two of their products do not fit into 16 bits."""
    graph = Qdq()
    x = graph.conv(graph.image, 32)
    x = graph.conv(graph.conv(x, 32, 1, heaviest=127), 32)
    new = graph.model(x, [32, 32, 32])
    assert (kinds(rewritten(new)[0])["Conv"], kinds(rewritten(new)[0])["QConv"]) == (1, 2)


def test_the_signature_stays_and_the_bytes_are_the_same(images):
    graph = Qdq()
    model = graph.model(graph.conv(graph.image, 8), [8, 32, 32])
    model.metadata_props.add(key="whose", value="ours")
    before = to_bytes(model)
    new, _ = rewritten(model)
    assert to_bytes(model) == before
    assert to_bytes(rewritten(model)[0]) == to_bytes(new)
    assert (new.graph.input, new.graph.output) == (model.graph.input, model.graph.output)
    assert new.metadata_props == model.metadata_props
    assert {(entry.domain, entry.version) for entry in new.opset_import} == {("", 20), ("zoo.int8", 1)}
    read = {name for node in new.graph.node for name in node.input}
    assert {tensor.name for tensor in new.graph.initializer} <= read


def test_a_graph_of_which_too_little_can_be_replaced_is_refused():
    graph = Qdq()
    x = graph.conv(graph.image, 8)
    x = graph.conv(graph.conv(x, 16, dilation=2), 16, dilation=2)
    with pytest.raises(InputError, match=r"nothing to gain: 6 % of the convolutions' multiplications could be"):
        rewritten(graph.model(x, [16, 32, 32]))
    graph = Qdq()
    mean = graph.node("GlobalAveragePool", [graph.image])
    with pytest.raises(InputError, match="nothing to gain: 0 %"):
        rewritten(graph.model(graph.node("Flatten", [mean]), [3]))
