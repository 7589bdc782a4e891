"""Export: graphs that can be trusted, and a gate that catches what is wrong."""

from __future__ import annotations

import json
import re

import numpy as np
import onnx
import pytest
import torch

from export.packing.fold import folded, folded_with_signature
from export.packing.onnx import to_onnx
from export.packing.parity import compare, gates, objections
from export.packing.pipeline import Packing
from export.packing.request import Evidence, Options, Request
from export.packing.sources import torch_network
from export.packing.sources.checkpoint import pack_checkpoint
from export.packing.sources.torch_network import TorchSource
from zoo.engines import Bundle
from zoo.errors import InputError, VerdictError, ZooError
from zoo.files import sha256
from zoo.graphs.model import count, opset, to_bytes
from zoo.graphs.qdq import stranded
from zoo.models import build, checkpoint
from zoo.models.normalisation import Normalised
from zoo.preprocess import Preprocessing
from zoo.tasks.classification import Classification
from zoo.tasks.keypoints import Keypoints
from zoo.tasks.tagging import Tagging


@pytest.fixture(scope="module")
def network(run) -> Normalised:
    return checkpoint.load(run.folder / "mobilenet_v2")[0]


@pytest.fixture(scope="module")
def small(run) -> Normalised:
    """A network that is exported in a second, for what holds of any network."""
    return checkpoint.load(run.folder / "vgg")[0]


@pytest.fixture(scope="module")
def graphs(bundle_path) -> dict[str, onnx.ModelProto]:
    return {p: onnx.load(bundle_path / f"model.{p}.onnx") for p in ("fp32", "fp16", "int8")}


def test_every_graph_has_the_one_signature(graphs):
    for model in graphs.values():
        (image,), (logits,) = model.graph.input, model.graph.output
        assert (image.name, image.type.tensor_type.elem_type) == ("image", onnx.TensorProto.UINT8)
        assert [side.dim_value for side in image.type.tensor_type.shape.dim][1:] == [16, 16, 3]
        assert image.type.tensor_type.shape.dim[0].dim_param  # any number of images
        assert (logits.name, logits.type.tensor_type.elem_type) == ("logits", onnx.TensorProto.FLOAT)
        assert opset(model) == 20
        onnx.checker.check_model(model, full_check=True)


def test_batchnorm_is_gone_and_nothing_local_is_left(graphs, bundle_path):
    for precision, model in graphs.items():
        assert count(model, "BatchNormalization", "Dropout", "Identity") == 0
        blob = (bundle_path / f"model.{precision}.onnx").read_bytes()
        assert not re.search(rb"/(home|root|work|tmp|usr|opt)/", blob)
        assert not any(tensor.HasField("data_location") and tensor.data_location for tensor in model.graph.initializer)


def test_fp16_has_two_casts_more_and_only_half_weights(graphs):
    assert count(graphs["fp16"], "Cast") == count(graphs["fp32"], "Cast") + 2
    wide = [t for t in graphs["fp16"].graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    assert sum(int(np.prod(t.dims)) for t in wide) <= 6  # mean and std of three channels


def test_int8_keeps_no_activation_between_convolution_and_quantiser(graphs):
    assert count(graphs["int8"], "Clip", "Relu") == 0
    assert stranded(graphs["int8"]) == []
    zero_points = {t.name: t.data_type for t in graphs["int8"].graph.initializer if "zero_point" in t.name}
    quantised = [node for node in graphs["int8"].graph.node if node.op_type == "QuantizeLinear"]
    assert {zero_points[node.input[2]] for node in quantised} == {onnx.TensorProto.UINT8}
    weights = [onnx.numpy_helper.to_array(t) for t in graphs["int8"].graph.initializer if t.name.endswith("_quantized")]
    largest = max(int(np.abs(w.astype(int)).max()) for w in weights if w.dtype == np.int8)
    assert largest <= 64  # 7 bits: right on CPUs without VNNI, too


def test_the_manifest_says_what_is_true(bundle_path):
    manifest = Bundle.open(bundle_path).manifest
    assert set(manifest.graphs) == set(manifest.parity) == set(manifest.accuracy.graphs) == {"fp32", "fp16", "int8"}
    for name, entry in manifest.files.items():
        assert (entry.sha256, entry.bytes) == (sha256(bundle_path / name), (bundle_path / name).stat().st_size)
    assert {path.name for path in bundle_path.iterdir()} == {*manifest.files, "manifest.json"}
    assert manifest.parity["fp32"].max_abs <= 1e-4
    assert manifest.graphs["fp16"].low_precision_share == manifest.graphs["int8"].low_precision_share == 1
    assert {graph.weighted for graph in manifest.graphs.values()} == {53}  # 52 convolutions and the classifier
    assert manifest.graphs["fp32"].refused == manifest.graphs["fp16"].refused == []
    assert manifest.graphs["int8"].calibration.images == 96
    assert all(0 <= parity.kl < 1 for parity in manifest.parity.values())
    assert manifest.gates["fp32"].max_abs == 1e-4
    assert manifest.input.max_batch == 1024
    assert manifest.provenance["recipe"] == "shapes"
    assert "| fp16 |" in (bundle_path / "README.md").read_text()


def test_the_same_checkpoint_gives_the_same_fp32_bytes(run, bundle_path, tmp_path):
    again = tmp_path / "again.zoo"
    pack_checkpoint(run.folder / "mobilenet_v2", again, precisions=("fp32",), splits=run.splits)
    assert (again / "model.fp32.onnx").read_bytes() == (bundle_path / "model.fp32.onnx").read_bytes()


def test_folding_keeps_the_function_and_the_network(network):
    images = torch.randint(0, 256, (4, 16, 16, 3), dtype=torch.uint8)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        torch.testing.assert_close(folded_with_signature(network)(images), network(images), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(network.network).modules())


def test_a_module_in_train_mode_is_refused(network):
    copied = Normalised(build("vgg", classes=3, size=16, width=0.125), (0.5,) * 3, (0.2,) * 3)
    with pytest.raises(InputError, match="train mode"):
        to_onnx(copied.train(), 16, 16, name="careless")


def test_an_operator_without_a_translation_is_one_line():
    class Odd(torch.nn.Module):
        def forward(self, images):
            return torch.linalg.eigvals(images.float().mean(3)).real

    with pytest.raises(ZooError, match="odd cannot be exported"):
        to_onnx(Odd().eval(), 16, 16, name="odd")


def test_an_opset_that_the_exporter_changes_is_refused():
    # LayerNormalization came with 17: a graph that has one cannot be written down to 15.
    layers = torch.nn.Flatten(), torch.nn.LayerNorm(192), torch.nn.Linear(192, 2)
    network = Normalised(torch.nn.Sequential(*layers), (0.5,) * 3, (0.2,) * 3)
    assert opset(to_onnx(network.eval(), 8, 8, name="small", version=21)) == 21
    with pytest.raises(InputError, match="asked for opset 15, the exporter wrote 18"):
        to_onnx(network, 8, 8, name="small", version=15)


def pack_it(network, run, out, options=None, **more):
    test = run.splits.test
    request = Request(
        TorchSource(network, "shapes", 16, 16, run.task.output),
        "shapes",
        run.task,
        Preprocessing(18, 16, 16),
        Evidence(run.splits.train.images, test.images, test.targets),
        provenance={},
        options=options or Options(),
        **more,
    )
    return Packing(request, out).run()


class _Wrong(torch.nn.Module):
    """Right shapes, wrong answers."""

    def __init__(self, network: Normalised, what: str) -> None:
        super().__init__()
        self.network, self.what = network, what

    def forward(self, images):
        if self.what == "channels":
            return self.network(images.flip(3))
        if self.what == "classes":
            return self.network(images).roll(1, 1)
        return self.network.network(images.permute(0, 3, 1, 2).float() / 255)  # "normalisation"


@pytest.mark.parametrize(
    ("mistake", "precision"),
    [("channels", "fp32"), ("classes", "fp32"), ("normalisation", "fp32"), ("channels", "int8")],
)
def test_a_wrong_answer_with_the_right_shape_is_caught(small, run, tmp_path, monkeypatch, mistake, precision):
    """An exporter that swaps channels, permutes classes or forgets normalisation must not get past the gate."""
    out = tmp_path / "wrong.zoo"
    real = torch_network.to_onnx
    wrong = lambda network, *where, **names: real(_Wrong(network, mistake).eval(), *where, **names)  # noqa: E731
    monkeypatch.setattr(torch_network, "to_onnx", wrong)
    with pytest.raises(VerdictError, match=r"fp32 graph is not packed: outputs differ by up to .* \(at most 0\.0"):
        pack_it(small, run, out, precisions=(precision,))
    assert not out.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_old_bundle(small, run, tmp_path):
    out = tmp_path / "kept.zoo"
    pack_it(small, run, out, precisions=("fp32",))
    before = {path.name: sha256(path) for path in out.iterdir()}
    with pytest.raises(VerdictError):
        pack_it(small, run, out, Options(thresholds={"max_abs": 0.0}), precisions=("fp32",))
    assert {path.name: sha256(path) for path in out.iterdir()} == before


def test_the_gate_by_numbers():
    reference = np.eye(4, dtype=np.float32)
    task = Classification("abcd", 16)
    usual = gates(task)
    near = compare(reference + np.float32(5e-5), reference, task)
    assert objections(usual["fp32"], near, task, 0.9, 0.9) == []
    turned = compare(reference[::-1].copy(), reference, task)
    assert turned.agreement == 0
    assert len(objections(usual["fp32"], turned, task, 1.0, 0.0)) == 3
    assert objections(usual["int8"], turned, task, 0.95, 0.94) == []
    wrong = "top1 goes from 95.00 % to 93.50 % (at most 1 % worse)"
    assert objections(usual["int8"], turned, task, 0.95, 0.935) == [wrong]
    broken = compare(np.full((4, 4), np.nan, np.float32), reference, task)
    assert objections(usual["fp16"], broken, task, 0.9, 0.9)
    faces = Keypoints(["nose"], 96)
    assert objections(gates(faces)["int8"], turned, faces, 1.5, 1.59) == []
    assert objections(gates(faces)["int8"], turned, faces, 1.5, 1.7) == [
        "rmse goes from 1.500 px to 1.700 px (at most 0.1 px worse)"
    ]


def test_thresholds_can_be_changed_and_differences_are_seen_against_the_outputs():
    task = Classification("abcd", 16)
    changed = gates(task, {"max_drop": 3.0, "kl": 0.5, "max_abs": None})
    assert (changed["int8"].max_drop, changed["int8"].kl, changed["fp32"].max_drop) == (3.0, 0.5, 0.0)
    large = 1000 * np.eye(4, dtype=np.float32)
    off = compare(large + np.float32(0.05), large, task)
    assert objections(changed["fp32"], off, task, 1.0, 1.0) == []
    assert "at most 0.1" in objections(changed["fp32"], compare(large + 1, large, task), task, 1.0, 1.0)[0]


def test_kl_divergence_of_each_task():
    """By hand: classes (0.5, 0.5) against (0.8, 0.2); a tag of 0.5 against one of 0.8; points have none."""
    fair, biased = np.zeros((1, 2), np.float32), np.log(np.array([[0.8, 0.2]], np.float32))
    expected = 0.5 * np.log(0.5 / 0.8) + 0.5 * np.log(0.5 / 0.2)
    assert Classification("ab", 8).divergence(biased, fair) == pytest.approx(expected, rel=1e-5)
    yes = np.log(np.array([[4.0]], np.float32))  # the sigmoid of which is 0.8
    assert Tagging("a", 8).divergence(yes, fair[:, :1]) == pytest.approx(expected, rel=1e-5)
    assert Keypoints("a", 8).divergence(fair, fair) is None


def test_bytes_do_not_depend_on_the_run(small):
    one, two = (to_bytes(to_onnx(folded_with_signature(small), 16, 16, name="x")) for _ in range(2))
    assert one == two


def test_provenance_is_json(bundle_path):
    assert json.loads((bundle_path / "manifest.json").read_text())["provenance"]["seed"] == 3
