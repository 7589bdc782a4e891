"""int8: two flavours, three ways to find ranges, and the layers that stay in fp32 when the budget would break."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

import export
from export.packing.execute import logits_of
from export.packing.quantise.calibrate import BINS, Statistics
from export.packing.quantise.quantize import FLAVOURS, quantise, statistics
from export.packing.quantise.sensitive import attempts
from export.packing.sources.torch_network import TorchSource
from tests.support.pictures import CLASSES, picture
from zoo.engines.registry import backend_class
from zoo.errors import EnvironmentProblem, InputError, VerdictError
from zoo.graphs.model import count, weights
from zoo.graphs.qdq import join, stranded
from zoo.graphs.strong_types import problems
from zoo.models import checkpoint
from zoo.models.normalisation import Normalised


@pytest.fixture(scope="module")
def fp32(bundle_path) -> onnx.ModelProto:
    return onnx.load(bundle_path / "model.fp32.onnx")


@pytest.fixture(scope="module")
def seen(fp32, run) -> Statistics:
    return statistics(fp32, run.splits.train.images, histograms=True)


@pytest.fixture(scope="module")
def signed(fp32, seen) -> onnx.ModelProto:
    return quantise(fp32, FLAVOURS["int8s"], seen.cut("minmax"))


def test_tensorrts_flavour_is_signed_symmetric_and_of_8_bits(signed):
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in signed.graph.initializer}
    for node in signed.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            assert stored[node.input[2]].dtype == np.int8
            assert not stored[node.input[2]].any()
    largest = max(int(np.abs(onnx.numpy_helper.to_array(w).astype(int)).max()) for w in weights(signed).values())
    assert largest == 127
    assert {w.data_type for w in weights(signed).values()} == {TensorProto.INT8}
    assert problems(signed) == []


def test_no_quantiser_stands_between_a_layer_and_its_activation(signed, fp32):
    assert count(signed, "Clip") == count(fp32, "Clip") > 30  # kept, and computed with the convolution
    assert stranded(signed) == []


def test_the_checker_sees_a_stranded_activation_and_joining_mends_it():
    def q_dq(name: str) -> list[onnx.NodeProto]:
        return [
            onnx.helper.make_node("QuantizeLinear", [name, "scale", "zero"], [f"{name}.q"], f"{name}/q"),
            onnx.helper.make_node("DequantizeLinear", [f"{name}.q", "scale", "zero"], [f"{name}.dq"], f"{name}/dq"),
        ]

    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["x", "w"], ["c"], "conv"),
            *q_dq("c"),
            onnx.helper.make_node("Relu", ["c.dq"], ["r"], "relu"),
            *q_dq("r"),
        ],
        "g",
        [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [onnx.helper.make_tensor_value_info("r.dq", TensorProto.FLOAT, [1, 1, 4, 4])],
        [
            onnx.numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "w"),
            onnx.numpy_helper.from_array(np.float32(0.1), "scale"),
            onnx.numpy_helper.from_array(np.int8(0), "zero"),
        ],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    assert stranded(model) == ["relu"]
    join(model)
    assert stranded(model) == []
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "QuantizeLinear", "DequantizeLinear"]
    onnx.checker.check_model(model, full_check=True)


def test_methods_cut_outliers_off_and_minmax_does_not():
    """A normal distribution of deviation 1, and one value at 100."""
    values = np.abs(np.random.default_rng(0).normal(size=200_000))
    values[0] = 100
    counts = np.histogram(values, bins=BINS, range=(0, 100))[0]
    found = Statistics({"t": (-100.0, 100.0), "relu": (0.0, 100.0)}, {"t": counts, "relu": counts})
    assert found.cut("minmax")["t"] == (-100.0, 100.0)
    for method in ("entropy", "percentile"):
        low, high = found.cut(method)["t"]
        assert 2 < high < 10
        assert low == -high
        assert found.cut(method)["relu"] == (0, high)
    even = Statistics({"t": (0.0, 1.0)}, {"t": np.full(BINS, 1000)})
    assert even.cut("entropy")["t"][1] > 0.9  # nothing to gain: nothing is cut


def test_ranges_are_what_the_graph_reaches(fp32, run, seen):
    images = run.splits.train.images[:40]
    name = next(node.input[0] for node in fp32.graph.node if node.op_type == "Conv")
    pixels = images.astype(np.float64) / 255
    mean, std = np.array(run.recipe.data.mean), np.array(run.recipe.data.std)
    low, high = statistics(fp32, images).ranges[name]
    expected = (pixels - mean) / std
    assert (low, high) == pytest.approx((expected.min(), expected.max()), rel=1e-5)
    assert seen.histograms[name].sum() == run.splits.train.images.size


@pytest.mark.parametrize("precision", ["int8", "int8s"])
def test_auto_takes_the_method_with_the_best_metric(fp32, run, precision):
    train = run.splits.train
    first = next(
        attempts(
            fp32,
            FLAVOURS[precision],
            train.images,
            choice="auto",
            logits_of=logits_of,
            task=run.task,
            targets=train.targets,
        )
    )
    assert set(first.tried) == {"minmax", "entropy", "percentile"}
    assert first.tried[first.method] == max(first.tried.values())
    measured = run.task.score(logits_of(first.model, train.images), train.targets)["top1"]
    assert first.tried[first.method] == measured


def uneven(network: torch.nn.Module) -> list[str]:
    """Scale one channel between the first two convolutions up by 1e4 in one and down in the other: the same function,
    but 8 bits now tell nothing of the other channels. The names of the two.
    """
    named = list(network.named_modules())
    (first, _), (second, reader) = [(name, m) for name, m in named if isinstance(m, torch.nn.Conv2d)][:2]
    norm = next(module for _, module in named if isinstance(module, torch.nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight[0] = norm.weight[0].abs() * 1e4
        norm.bias[0] = norm.bias[0].abs() * 1e4
        reader.weight[:, 0] /= 1e4
    return [first, second]


def test_sensitive_layers_stay_in_fp32_until_the_gate_holds(run, tmp_path, capsys):
    """The two that meet at the uneven map, found by what each does alone, named in manifest and card."""
    network, about = checkpoint.load(run.folder / "vgg")
    module, train, test = network.network, run.splits.train.images, run.splits.test.images
    two = uneven(module)
    with torch.no_grad():
        targets = network(torch.from_numpy(test)).numpy().argmax(1)
    pack = partial(
        export.pack, module, tmp_path / "u.zoo", labels=about.labels, size=16, mean=about.data.mean, std=about.data.std,
        evidence=export.Evidence(train, test, targets), precisions=("int8",),
    )  # fmt: skip
    with pytest.raises(VerdictError, match=r"smallest cosine .* most sensitive layers in fp32"):
        pack(options=export.Options(thresholds={"cosine": 1.1}))
    assert not (tmp_path / "u.zoo").exists()

    manifest = pack()
    graph = manifest.graphs["int8"]
    assert set(graph.kept) == set(two)
    assert "moves the outputs by" in graph.kept[two[0]]
    assert graph.low_precision_share == pytest.approx(1 - 2 / graph.weighted)
    assert manifest.accuracy.graphs["int8"] >= 0.99
    assert "u: int8 keeps" in capsys.readouterr().err
    assert f"int8 keeps `{two[0]}` in fp32" in (tmp_path / "u.zoo" / "README.md").read_text()


def test_black_calibration_images_are_refused(fp32):
    with pytest.raises(InputError, match="one colour"):
        statistics(fp32, np.zeros((4, 16, 16, 3), np.uint8))


class Residual(torch.nn.Module):
    """Padded convolutions with large biases, a residual add and a pool to one pixel: float [N, 3, S, S] -> [N, 5]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.inner = torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.Conv2d(16, 16, 3, padding=1)
        self.last, self.pool = torch.nn.Conv2d(16, 16, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1)
        self.head = torch.nn.Linear(16, 5)
        with torch.no_grad():
            for layer in (self.stem, self.inner, self.last):
                layer.weight *= 2
                layer.bias.normal_()

    def forward(self, x):
        x = self.stem(x).relu()
        return self.head(torch.flatten(self.pool((x + self.last(self.inner(x).relu())).relu()), 1))


@pytest.fixture(scope="module")
def shapes() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.stack([np.asarray(picture(label, random, 16)) for label in CLASSES for _ in range(16)])


def small_int8(images: np.ndarray) -> onnx.ModelProto:
    network = Normalised(Residual().eval(), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)).eval()
    fp32 = TorchSource(network, "residual", 16, 16, "logits").fp32()
    return quantise(fp32, FLAVOURS["int8"], statistics(fp32, images).cut("minmax"))


def on(backend: str, model: onnx.ModelProto, folder: Path):
    onnx.save(model, folder / "m.onnx")
    return backend_class(backend)(folder / "m.onnx", precision="int8", device="cpu", threads=1)


def test_an_int8_graph_means_the_same_in_both_runtimes(shapes, tmp_path):
    """As much as rounding allows: a runtime may leave out a rounding in front of an add."""
    model = small_int8(shapes)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    quantiser = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")
    assert onnx.numpy_helper.to_array(stored[quantiser.input[2]]) > 0  # of the stem's input, which is padded
    assert count(model, "Shape") == 0
    expected = on("onnxruntime", model, tmp_path).run(shapes)
    answers = on("openvino", model, tmp_path).run(shapes)
    spread = float((expected.max(0) - expected.min(0)).max())
    assert np.abs(answers - expected).max() < 0.03 * spread


def test_openvino_refuses_the_int8_graph_that_it_computes_wrongly(shapes, tmp_path, monkeypatch):
    """As it was exported once: the pool's `as_strided` asks for the batch size."""
    monkeypatch.setattr("export.packing.onnx._PlainPools", contextlib.nullcontext)
    model = small_int8(shapes)
    assert count(model, "Shape") == 1
    assert on("onnxruntime", model, tmp_path).run(shapes).shape[1] == 5
    with pytest.raises(EnvironmentProblem, match=r"openvino computes m\.onnx wrongly, because it asks for the batch"):
        on("openvino", model, tmp_path)
