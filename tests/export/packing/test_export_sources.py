"""Bundles of what is not ours: any torch module, a library's model, somebody's ONNX file; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import export
import zoo
from export.packing.sources.library import Given, pack_foreign
from tests.support.command import one_line
from tests.support.pictures import CLASSES
from zoo.engines import selftest
from zoo.errors import InputError, VerdictError
from zoo.graphs.onnx_file import read_graph

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


class Small(nn.Module):
    """Convolution, BatchNorm, ReLU6 and a head: float [N, 3, 16, 16] -> [N, 3]."""

    def __init__(self, softmax: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8)
        self.head, self.softmax = nn.Linear(8, 3), softmax
        with torch.no_grad():
            self.norm.running_mean.uniform_(-0.5, 0.5)
            self.norm.running_var.uniform_(0.5, 1.5)

    def forward(self, x):
        logits = 4 * self.head(nn.functional.relu6(self.norm(self.conv(x))).mean((2, 3)))
        return logits.softmax(1) if self.softmax else logits


@pytest.fixture(scope="module")
def evidence(run) -> export.Evidence:
    """Real pictures, and as their classes what the network itself says: 100 %, so that every loss is one."""
    train, test = run.splits.train.images[:48], run.splits.test.images
    return export.Evidence(train, test, answers(Small(), test).argmax(1))


def answers(network: nn.Module, images: np.ndarray) -> np.ndarray:
    scaled = (images / np.float32(255) - np.float32(MEAN)) / np.float32(STD)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(scaled.astype(np.float32).transpose(0, 3, 1, 2).copy())).numpy()


def onnx_file(path: Path, network: nn.Module, *, batch: int | None = None, size: int = 16) -> Path:
    """What another exporter leaves: float NCHW in, BatchNorm unfolded, its own names."""
    torch.onnx.export(
        network.eval(),
        (torch.zeros(batch or 2, 3, size, size),),
        path,
        dynamo=False,
        opset_version=17,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        input_names=["pixels"],
        output_names=["prob"],
        dynamic_axes=None if batch else {"pixels": {0: "n"}, "prob": {0: "n"}},
    )
    return path


def test_any_module_becomes_a_bundle(evidence, tmp_path):
    out = tmp_path / "mein größtes Netz" / "small one.zoo"
    manifest = export.pack(
        Small().eval(),
        out,
        labels=CLASSES,
        size=16,
        mean=MEAN,
        std=STD,
        resize=18,
        evidence=evidence,
        precisions=("fp32", "fp16", "int8", "int8s"),
        provenance={"where": "a test"},
        options=export.Options(max_batch=8),
    )
    assert (manifest.name, manifest.input.resize, manifest.input.max_batch) == ("small one", 18, 8)
    assert set(manifest.graphs) == {"fp32", "fp16", "int8", "int8s"}
    assert manifest.provenance["where"] == "a test"
    assert manifest.graphs["int8s"].refused == []
    np.testing.assert_allclose(zoo.load(out)(evidence.test), answers(Small(), evidence.test), atol=1e-4)
    assert all(outcome.passed for outcome in selftest.run(zoo.engines.Bundle.open(out)))
    with pytest.raises(AttributeError, match="no attribute 'park'"):
        export.park  # noqa: B018


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"labels": ["a", "b"]}, r"answers with \[3\] numbers for each image, and the labels ask for 2"),
        ({"resize": 12}, r"resize \(12\) must be at least size \(16\)"),
        ({"task": "classifcation"}, "did you mean 'classification'"),
        ({"std": (1, 0, 1)}, "std above 0"),
        ({"size": 24}, "calibration images must be uint8"),
        ({"module": Small().train()}, r"x is in train mode: call .eval\(\)"),
        ({"module": nn.Sequential(Small().eval(), nn.Dropout()).eval().train(False)}, None),
        ({"module": nn.Conv2d(4, 3, 1).eval()}, "does not take float32"),
        ({"module": nn.Conv2d(3, 3, 1).eval()}, r"answers with \[2, 3, 16, 16\]"),
    ],
    ids=["labels", "resize", "task", "std", "size", "train", "dropout", "channels", "answer"],
)
def test_a_module_that_does_not_fit_is_refused(evidence, tmp_path, changed, complaint):
    wanted = {"module": Small().eval(), "labels": CLASSES, "size": 16, "mean": MEAN, "std": STD} | changed
    module = wanted.pop("module")
    if complaint is None:  # dropout in eval mode is nothing: it must not get into the graph
        manifest = export.pack(module, tmp_path / "x.zoo", evidence=evidence, precisions=("fp32",), **wanted)
        assert manifest.parity["fp32"].agreement == 1
        return
    with pytest.raises(InputError, match=complaint):
        export.pack(module, tmp_path / "x.zoo", evidence=evidence, **wanted)
    assert list(tmp_path.iterdir()) == []


def test_a_dropout_left_in_train_mode_is_named(evidence, tmp_path):
    network = nn.Sequential(Small(), nn.Dropout()).eval()
    network[1].train()
    with pytest.raises(InputError, match=r"train mode \(1\)"):
        export.pack(network, tmp_path / "x.zoo", labels=CLASSES, size=16, evidence=evidence)


@pytest.mark.parametrize("softmax", [False, True], ids=["logits", "softmax"])
def test_somebodys_onnx_file_becomes_a_bundle(evidence, tmp_path, softmax):
    """BatchNorm is folded, the softmax taken off, fp16 converted; every graph has the one signature."""
    path = onnx_file(tmp_path / "théirs.onnx", Small(softmax))
    out = tmp_path / "theirs.zoo"
    manifest = export.pack_onnx(
        path,
        out,
        labels=CLASSES,
        evidence=evidence,
        mean=MEAN,
        std=STD,
        precisions=("fp32", "fp16", "int8", "int8s"),
    )
    np.testing.assert_allclose(zoo.load(out)(evidence.test), answers(Small(), evidence.test), atol=1e-4)
    assert manifest.provenance["source"] == "théirs.onnx"
    assert manifest.graphs["fp16"].casts == manifest.graphs["fp32"].casts + 2 == 3
    assert {graph.low_precision_share for graph in manifest.graphs.values()} == {1.0}
    assert {graph.weighted for graph in manifest.graphs.values()} == {2}
    assert manifest.graphs["fp16"].refused == manifest.graphs["int8s"].refused == []
    assert manifest.cost.macs == 7 * 7 * 8 * 27 + 8 * 3
    fp32 = onnx.load(out / "model.fp32.onnx")
    assert not any(node.op_type in {"BatchNormalization", "Softmax"} for node in fp32.graph.node)


def test_a_file_with_another_batch_layout_and_overflow(evidence, tmp_path):
    """A fixed batch is freed; channels may come last; what fp16 cannot hold stays in fp32."""

    class Last(Small):
        def forward(self, x):
            return super().forward(x.permute(0, 3, 1, 2))

    network = Last()
    with torch.no_grad():
        network.norm.weight *= 1e6
        network.norm.bias *= 1e6
    network.forward = lambda x: nn.functional.linear(  # type: ignore[method-assign]
        network.norm(network.conv(x.permute(0, 3, 1, 2))).mean((2, 3)) * 1e-6,
        network.head.weight * 4,
        network.head.bias,
    )
    path = tmp_path / "last.onnx"
    torch.onnx.export(network.eval(), (torch.zeros(1, 16, 16, 3),), path, dynamo=False, opset_version=17)
    own = answers(nn.Sequential(), evidence.test).transpose(0, 2, 3, 1)
    with torch.no_grad():
        expected = network(torch.from_numpy(own.copy())).numpy()
    held = export.Evidence(evidence.calibration, evidence.test, expected.argmax(1))
    manifest = export.pack_onnx(
        path, tmp_path / "l.zoo", labels=CLASSES, evidence=held, mean=MEAN, std=STD, precisions=("fp32", "fp16")
    )
    assert any("fp16 ends at 65504" in reason for reason in manifest.graphs["fp16"].kept.values())
    assert manifest.graphs["fp16"].low_precision_share == 0.5  # the head alone
    np.testing.assert_allclose(zoo.load(tmp_path / "l.zoo", precision="fp16")(evidence.test), expected, atol=2e-2)


def test_a_library_model_by_name(tmp_path, pictures):
    """Weights from a file, labels in the network's order, folders found among them, the library's own preprocessing."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "labels.json").write_text(json.dumps(["stripes", "circle", "cross"]))
    given = Given(
        images=pictures,
        weights=str(tmp_path / "w.safetensors"),
        labels=tmp_path / "labels.json",
        size=32,
        precisions=("fp32",),
        calibration=8,
    )
    about = pack_foreign("timm:test_resnet", tmp_path / "t.zoo", given)
    assert zoo.load(tmp_path / "t.zoo").labels == ["stripes", "circle", "cross"]
    assert (about.provenance["model"], about.provenance["weights"]) == ("timm:test_resnet", "w.safetensors")
    assert (about.input.height, about.input.resize) == (32, round(32 / 0.95))
    assert about.accuracy.images == 24


def test_a_model_without_weights_data_or_known_labels_is_refused(tmp_path, pictures):
    out = tmp_path / "x.zoo"
    with pytest.raises(InputError, match="brings no images along: --data DIR"):
        pack_foreign("timm:test_resnet", out, Given(weights="w"))
    with pytest.raises(InputError, match="has no weights yet: --weights FILE"):
        pack_foreign("torchvision:resnet18", out, Given(images=pictures))
    (tmp_path / "l.json").write_text('["cat", "dog"]')
    with pytest.raises(InputError, match="the folder 'circle' is none of the 2 labels"):
        pack_foreign("timm:test_resnet", out, Given(images=pictures, weights="w", labels=tmp_path / "l.json", size=16))
    (tmp_path / "l.json").write_text('["circle", "cross", "stripes", "cross"]')
    with pytest.raises(InputError, match="the folder 'cross' is 2 of the 4 labels"):
        pack_foreign("timm:test_resnet", out, Given(images=pictures, weights="w", labels=tmp_path / "l.json", size=16))
    (tmp_path / "l.json").write_text('{"0": "cat"}')
    with pytest.raises(InputError, match="must be a list of names"):
        pack_foreign("timm:test_resnet", out, Given(images=pictures, weights="w", labels=tmp_path / "l.json", size=16))


def test_the_command_packs_a_file_and_refuses_options_that_do_not_belong(
    zoo_command, run, evidence, pictures, tmp_path
):
    path = onnx_file(tmp_path / "t.onnx", Small())
    words = ["--data", pictures, "--mean", "0.4,0.5,0.6", "--std", "0.2,0.25,0.3", "--precision", "fp32,int8s"]
    shown = zoo_command("export", path, "-o", "my bundle.zoo", *words, "--max-drop", "20", "--method", "auto")
    assert shown.returncode == 0, shown.stderr
    assert "in t.onnx" in shown.stdout.splitlines()[0]
    assert "model.int8s.onnx" in shown.stdout
    manifest = zoo.engines.Bundle.open(tmp_path / "my bundle.zoo").manifest
    assert set(manifest.graphs["int8s"].calibration.tried) == {"minmax", "entropy", "percentile"}
    assert (manifest.gates["int8s"].max_drop, manifest.gates["fp32"].max_drop) == (20, 0)

    shown = zoo_command("export", run.folder / "vgg", "-o", "v.zoo", "--mean", "0,0,0")
    assert shown.returncode == 2
    assert "--mean is for timm:NAME" in one_line(shown.stderr)


def by_hand(path: Path, **changed: object) -> Path:
    """A linear classifier of 16 x 16 pictures, with something about it changed."""
    weight = numpy_helper.from_array(np.zeros((768, 3), np.float32), "w")
    nodes = [helper.make_node("Flatten", ["x"], ["f"], "flat"), helper.make_node("MatMul", ["f", "w"], ["y"], "head")]
    made = helper.make_graph(
        changed.get("nodes", nodes),
        "g",
        changed.get("inputs", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 16, 16])]),
        changed.get("outputs", [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]),
        [weight],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def value(name: str, kind: int, shape: list) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"inputs": [value("x", TensorProto.FLOAT, ["n", 1, 16, 48])]}, r"takes float32 \[\?, 1, 16, 48\], and uint8"),
        ({"inputs": [value("x", TensorProto.FLOAT, ["n", 3, 16, 17])]}, "contradicts itself|squares are needed"),
        (
            {"inputs": [value("x", TensorProto.FLOAT, ["n", 3, 16, 16]), value("z", TensorProto.FLOAT, [1])]},
            r"has 2 inputs \(x, z\)",
        ),
        ({"outputs": [value("y", TensorProto.FLOAT, ["n", 5])]}, "contradicts itself"),
        (
            {"outputs": [value("y", TensorProto.FLOAT, ["n", 3]), value("f", TensorProto.FLOAT, ["n", 768])]},
            "2 outputs",
        ),
    ],
    ids=["grey", "oblong", "two inputs", "lying shape", "two outputs"],
)
def test_a_graph_that_does_not_fit_is_refused(evidence, tmp_path, changed, complaint):
    path = by_hand(tmp_path / "odd.onnx", **changed)
    with pytest.raises(InputError, match=complaint):
        export.pack_onnx(path, tmp_path / "x.zoo", labels=CLASSES, evidence=evidence)
    assert not (tmp_path / "x.zoo").exists()


def test_files_are_refused_by_their_size_before_they_are_read(tmp_path):
    (tmp_path / "empty.onnx").touch()
    with (tmp_path / "huge.onnx").open("wb") as file:
        file.truncate(3 * 2**30)  # sparse: it takes no room
    (tmp_path / "text.onnx").write_text("not a graph")
    for name, complaint in {
        "empty": "is empty",
        "huge": "3,221,225,472 bytes",
        "text": "no ONNX file",
        "gone": "no such",
    }.items():
        with pytest.raises(InputError, match=complaint):
            read_graph(tmp_path / f"{name}.onnx")


def test_a_graph_made_for_one_picture_is_freed(evidence, tmp_path):
    """A Reshape that has the batch written into it, by a Constant node."""
    shape = helper.make_node("Constant", [], ["s"], "s", value=numpy_helper.from_array(np.array([1, 768]), "s"))
    nodes = [
        shape,
        helper.make_node("Reshape", ["x", "s"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "w"], ["y"], "head"),
    ]
    image = value("x", TensorProto.FLOAT, [1, 3, 16, 16])
    path = by_hand(tmp_path / "one.onnx", nodes=nodes, inputs=[image], outputs=[value("y", TensorProto.FLOAT, [1, 3])])
    manifest = export.pack_onnx(path, tmp_path / "x.zoo", labels=CLASSES, evidence=evidence, precisions=("fp32",))
    assert manifest.parity["fp32"].max_abs <= 1e-4
    assert zoo.load(tmp_path / "x.zoo")(evidence.test[:5]).shape == (5, 3)


def test_wrong_preprocessing_of_a_file_cannot_pass_as_right(evidence, tmp_path):
    """A graph is held to the metric of real images: with another mean the answers are others, and the card says so."""
    path = onnx_file(tmp_path / "t.onnx", Small())
    manifest = export.pack_onnx(path, tmp_path / "x.zoo", labels=CLASSES, evidence=evidence, precisions=("fp32",))
    assert manifest.accuracy.torch < 1
    with pytest.raises((VerdictError, InputError)):
        export.pack_onnx(path, tmp_path / "y.zoo", labels=CLASSES, evidence=evidence, mean=MEAN, std=STD, output="gone")
