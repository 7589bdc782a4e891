"""The backend onnxruntime-winograd: built into a bundle, loaded, asked by many threads, refused where it is unfit."""

from __future__ import annotations

import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import export
import zoo
from bench.suite.case_list import list_cases
from bench.suite.choices import Choices
from bench.tune.candidates import Kind, kinds
from export.build.winograd.build import build
from export.build.winograd.rewrite import rewritten
from tests.support.command import one_line
from tests.support.int8_operators import answer
from tests.support.libzoo import checked
from zoo.bundle import sidecar
from zoo.engines import Bundle, selftest
from zoo.engines.layers import LayerTime
from zoo.errors import EnvironmentProblem, InputError, VerdictError

NAME = "onnxruntime-winograd"


class Every(nn.Module):
    """A ResNet's stem and blocks, a MobileNet's block, a layer of another kind: float [N, 3, 32, 32] -> [N, 5]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.down = nn.Conv2d(16, 24, 1, 2)
        self.block = nn.Sequential(nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU(), nn.Conv2d(24, 24, 3, 1, 1))
        self.wide = nn.Sequential(nn.Conv2d(24, 48, 1), nn.ReLU6(), nn.Conv2d(48, 48, 3, 1, 1, groups=48), nn.ReLU6())
        self.narrow, self.odd = nn.Conv2d(48, 24, 1), nn.Conv2d(24, 24, 3, padding=2, dilation=2)
        self.last, self.head = nn.Conv2d(24, 40, 1), nn.Linear(40, 5)

    def forward(self, x):
        x = self.stem(x)
        x = (self.block(x) + self.down(x)).relu()
        x = x + self.narrow(self.wide(x))
        x = nn.functional.hardswish(self.odd(x))
        return self.head(nn.functional.adaptive_avg_pool2d(self.last(x).relu(), 1).flatten(1))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Coarse ones, of different colours."""
    random = np.random.default_rng(3)
    return random.integers(0, 256, (24, 4, 4, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)


@pytest.fixture(scope="module")
def plain(images, tmp_path_factory) -> Path:
    """A bundle with an fp32 and an int8 graph, in which nothing is built."""
    path, network = tmp_path_factory.mktemp("winograd") / "every.zoo", Every().eval()
    with torch.no_grad():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        answers = network((pixels - 0.5) / 0.25)
        network.head.weight *= 20  # the answers of a network that nobody trained lie close together
        network.head.bias -= 20 * (answers.mean(0) - network.head.bias)
    targets = np.zeros(len(images), np.int64)
    export.pack(
        network, path, labels=list("abcde"), size=32, mean=(0.5,) * 3, std=(0.25,) * 3,
        evidence=export.Evidence(images, images, targets), precisions=("fp32", "int8"),
        options=export.Options(thresholds={"max_drop": 100.0}, max_batch=16),
    )  # fmt: skip
    return path


@pytest.fixture
def copy(plain, tmp_path) -> Path:
    return shutil.copytree(plain, tmp_path / "copy.zoo")


@pytest.fixture
def operators(ops, monkeypatch) -> Path:
    """The library, where backends and commands find it."""
    monkeypatch.setenv("ZOO_OPS_LIBRARY", str(ops))
    return ops


@pytest.fixture(scope="module")
def made(plain, ops, tmp_path_factory) -> Path:
    """The bundle with the engine in it."""
    path = shutil.copytree(plain, tmp_path_factory.mktemp("built") / "every.zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_OPS_LIBRARY", str(ops))
        about, new = build(Bundle.open(path))
        assert new
        assert build(Bundle.open(path)) == (about, False)
    return path


@pytest.fixture
def rebuilt(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "rebuilt.zoo")


def test_a_network_that_the_project_exported_is_rewritten(plain, images):
    """Answered by NumPy: what is left out is a rounding in front of each Add."""
    model = onnx.load(plain / "model.int8.onnx")
    new, share = rewritten(model)
    kinds = [node.op_type for node in new.graph.node]
    assert 0.7 < share < 1
    assert {"QConv", "QMaxPool", "QMean", "QLevels"} <= set(kinds)
    assert (kinds.count("QConv"), kinds.count("Conv"), kinds.count("Add")) == (8, 1, 0)
    fused = [node.name for node in new.graph.node if node.op_type == "QConv" and len(node.input) == 5]
    assert fused == ["node_conv2d_2", "node_conv2d_6"]
    expected = zoo.load(plain, precision="int8")(images)
    spread = float((expected.max(0) - expected.min(0)).max())
    assert np.abs(answer(new, images) - expected).max() < 0.05 * spread


def test_what_is_built_says_what_it_is(made):
    (folder,) = sidecar.folders(made)
    about = sidecar.read(folder)
    assert folder.name == "onnxruntime-winograd-int8-x86-64-avx2"
    assert (about.backend, about.precision, about.device, about.batch) == (NAME, "int8", "cpu", (1, 8, 16))
    assert (about.graph.name, about.artefact.name) == ("model.int8.onnx", "model.onnx")
    assert (about.processor.kind, about.settings["operators"]) == ("x86-64-avx2", 1)
    assert about.selftest.difference <= about.selftest.tolerance


@pytest.mark.usefixtures("operators")
def test_batches_and_threads_give_the_graphs_answers(made, images):
    engine = zoo.load(made, backend=NAME, precision="int8", threads=1)
    assert (engine.describe()["backend"], engine.describe()["threads"], engine.describe()["operators"]) == (NAME, 1, 1)
    graph = onnx.load(next((made / "engines").glob("onnx*/model.onnx")))
    steps = np.abs(engine(images) - answer(graph, images)).max()
    expected = zoo.load(made, precision="int8")(images)
    spread = float((expected.max(0) - expected.min(0)).max())
    assert steps < 0.02 * spread  # a tie that is rounded otherwise
    assert np.abs(engine(images) - expected).max() < 0.05 * spread
    whole = engine(images)  # 24 images, in two batches
    for count in range(1, 6):
        np.testing.assert_array_equal(engine(images[:count]), whole[:count])
    several = zoo.load(made, backend=NAME, precision="int8", threads=2)
    with ThreadPoolExecutor(4) as pool:
        for one in (engine, several):
            for found in pool.map(lambda start, one=one: one(images[start : start + 3]), [0, 3, 6, 9] * 4):
                assert any(np.array_equal(found, whole[start : start + 3]) for start in (0, 3, 6, 9))


@pytest.mark.usefixtures("operators")
def test_layers_are_timed_by_the_names_of_the_graph(made, images):
    layers = zoo.load(made, backend=NAME, precision="int8", threads=1).backend.layer_times(images[:1], 2)
    assert all(isinstance(layer, LayerTime) and layer.seconds >= 0 for layer in layers)
    convolutions = {layer.name for layer in layers if layer.kind == "QConv"}
    assert convolutions >= {"node_conv2d", "node_conv2d_1", "node_conv2d_2"}


@pytest.mark.usefixtures("operators")
def test_commands_know_it(zoo_command, copy, tmp_path):
    shown = zoo_command("build", copy, "--backend", NAME, "--batch", "1,2,4")
    assert shown.returncode == 0, shown.stderr
    assert "onnxruntime-winograd int8 for x86-64 with AVX2: built" in shown.stdout
    assert "of the convolutions' multiplications are done by operators of our own" in shown.stderr
    again = zoo_command("build", copy, "--backend", NAME, "--batch", "1,2,4", "--json")
    assert json.loads(again.stdout)["batch"] == [1, 2, 4]
    verified = zoo_command("verify", copy, "--backend", NAME)
    assert verified.returncode == 0, verified.stderr
    assert "int8 on onnxruntime-winograd: passed" in verified.stdout
    assert "fp32 on" not in verified.stdout


def test_tune_and_bench_take_it_where_it_is_built(plain, made):
    found, ruled_out = kinds(Bundle.open(made))
    assert Kind(NAME, "int8") in found
    assert not [kind for kind in (*found, *ruled_out) if kind.backend == NAME and kind.precision != "int8"]
    assert kinds(Bundle.open(plain))[1][Kind(NAME, "int8")] == "not built: zoo build makes one"
    cases = list_cases([made], [], Choices(backends=[NAME]))
    assert [(case.backend, case.precision, case.device) for case in cases] == [(NAME, "int8", "cpu")]
    with pytest.raises(InputError, match="runs on cpu only"):
        list_cases([made], [], Choices(backends=[NAME], devices=["cuda"]))


@pytest.mark.usefixtures("operators")
def test_what_it_cannot_be_asked_for(made, plain):
    with pytest.raises(InputError, match="onnxruntime-winograd runs in int8 alone, not in fp32"):
        zoo.load(made, backend=NAME)
    with pytest.raises(InputError, match="has no device 'cuda'; there is: cpu"):
        zoo.load(made, backend=NAME, precision="int8", device="cuda")
    with pytest.raises(
        sidecar.NotBuilt, match=r"no onnxruntime-winograd engine .* zoo build .* --backend onnxruntime-w"
    ):
        zoo.load(plain, backend=NAME, precision="int8")


@pytest.mark.usefixtures("operators")
def test_a_graph_that_was_changed_is_not_loaded(rebuilt):
    (folder,) = sidecar.folders(rebuilt)
    graph = folder / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"model\.onnx is not the file that was built"):
        zoo.load(rebuilt, backend=NAME, precision="int8")


@pytest.mark.usefixtures("operators")
def test_other_operators_and_processors_do_not_fit(rebuilt):
    (folder,) = sidecar.folders(rebuilt)
    about = json.loads((folder / "sidecar.json").read_text())
    for key, value, complaint in (
        ("settings", {"operators": 2}, "was built for version 2 of the operators, here is 1"),
        ("processor", {"name": "Arm", "kind": "arm", "driver": None}, r"was built for Arm \(arm\)"),
    ):
        (folder / "sidecar.json").write_text(json.dumps(about | {key: value}))
        with pytest.raises(sidecar.NotBuilt, match=complaint):
            zoo.load(rebuilt, backend=NAME, precision="int8")
    assert zoo.load(rebuilt, backend=f"{NAME},onnxruntime", precision="int8").backend.name == "onnxruntime"


def test_a_processor_without_avx2_gives_the_same_bits(made, operators):
    """ZOO_CPU=plain stands for such a processor: the library then runs its scalar code."""
    code = (
        "import hashlib, sys, numpy, zoo\n"
        f"engine = zoo.load(sys.argv[1], backend={NAME!r}, precision='int8')\n"
        "images = numpy.random.default_rng(3).integers(0, 256, (3, *engine.input_shape), dtype=numpy.uint8)\n"
        "print(hashlib.sha256(engine(images).tobytes()).hexdigest())"
    )
    found = {
        checked(sys.executable, "-c", code, made, env=os.environ | {"ZOO_CPU": cpu}).stdout for cpu in ("", "plain")
    }
    assert len(found) == 1


def test_without_the_library_one_line_says_how_to_get_it(zoo_command, copy, tmp_path, monkeypatch):
    monkeypatch.delenv("ZOO_OPS_LIBRARY", raising=False)
    monkeypatch.setattr("zoo.preprocess.libzoo.PREFIX", tmp_path)
    with pytest.raises(EnvironmentProblem, match=r"no libzoo_ops\.so; in a checkout `make native` builds it"):
        zoo.load(copy, backend=NAME, precision="int8")
    monkeypatch.setenv("ZOO_OPS_LIBRARY", str(tmp_path / "gone.so"))
    shown = zoo_command("build", copy, "--backend", NAME)
    assert shown.returncode == 4
    assert "ZOO_OPS_LIBRARY names" in one_line(shown.stderr)


def test_a_library_that_cannot_be_loaded_is_one_line(made, tmp_path, monkeypatch):
    (tmp_path / "other.so").write_text("no library")
    monkeypatch.setenv("ZOO_OPS_LIBRARY", str(tmp_path / "other.so"))
    with pytest.raises(EnvironmentProblem, match=r"onnxruntime cannot load .*other\.so"):
        zoo.load(made, backend=NAME, precision="int8")


@pytest.mark.usefixtures("operators")
def test_an_engine_that_answers_otherwise_is_not_kept(copy, monkeypatch):
    def wrong(source):
        model, share = rewritten(source)
        scales = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("/multiplier"))
        scales.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scales) * 4, scales.name))
        return model, share

    monkeypatch.setattr("export.build.winograd.build.rewritten", wrong)
    with pytest.raises(
        VerdictError, match="the new onnxruntime-winograd int8 engine gives other logits in the self-test"
    ):
        build(Bundle.open(copy))
    assert not sidecar.folders(copy)


@pytest.mark.usefixtures("operators")
def test_another_rewrite_is_built_anew(rebuilt, monkeypatch):
    monkeypatch.setattr("export.build.winograd.build.fingerprint", lambda: "another")
    assert build(Bundle.open(rebuilt))[1] is True
    assert selftest.check(zoo.load(rebuilt, backend=NAME, precision="int8")).passed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--precision", "fp32"], "onnxruntime-winograd builds int8, not 'fp32'"),
        (["--checkpoint", "x"], "--checkpoint means nothing for onnxruntime-winograd"),
        (["--device", "cuda"], "onnxruntime-winograd builds for cpu, not for device 'cuda'"),
        (["--batch", "1,8,17"], "takes up to 16 images at once, not 17"),
    ],
)
def test_mistakes_are_one_line(zoo_command, plain, words, complaint):
    shown = zoo_command("build", plain, "--backend", NAME, *words)
    assert shown.returncode == 2, shown.stderr
    assert complaint in one_line(shown.stderr)
