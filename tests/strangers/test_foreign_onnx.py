"""ONNX files as exporters left them: weights beside the graph or among its inputs, a batch of one written in."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import zoo
from tests.support.command import one_line

SIDE, LABELS = 16, ["blue", "green", "red"]
COLOURS = {"blue": (20, 30, 220), "green": (30, 210, 40), "red": (220, 30, 30)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (folder / label).mkdir()
        for place in range(8):
            pixels = np.clip(random.normal(colour, 15, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{place}.png")
    return folder


def colour_graph(shape: list[int], batch: int | str = 1, *, ir: int = 8, weights_are_inputs: bool = False):
    """Channels of 0..1 -> a 1x1 convolution -> a pool to 2 x 2 -> Reshape to `shape` -> a logit for each colour."""
    random = np.random.default_rng(1)
    mixed = np.eye(3, dtype=np.float32)[:, [2, 1, 0]]  # blue first
    kernel = mixed.T.reshape(3, 3, 1, 1) + random.normal(0, 0.01, (3, 3, 1, 1)).astype(np.float32)
    dense = np.repeat(np.eye(3, dtype=np.float32), 4, axis=1)
    stored = {
        "kernel": kernel.astype(np.float32),
        "shape": np.array(shape, np.int64),
        "dense": dense,
        "bias": np.array([0.1, 0.2, 0.3], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("AveragePool", ["c"], ["p"], kernel_shape=[SIDE // 2] * 2, strides=[SIDE // 2] * 2),
        helper.make_node("Reshape", ["p", "shape"], ["f"]),
        helper.make_node("Gemm", ["f", "dense", "bias"], ["y"], transB=1),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])]
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    if weights_are_inputs:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    graph = helper.make_graph(
        nodes, "colours", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])], tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9 if ir == 3 else 17)], ir_version=ir)


def export(zoo_command, file, data, *words):
    words = ("--data", data, "--mean", "0,0,0", "--std", "1,1,1", "--precision", "fp32,int8", "-o", "net.zoo", *words)
    return zoo_command("export", file, *words)


def check_bundle(folder: Path, model: onnx.ModelProto, data: Path) -> None:
    """Many pictures together get what the file itself gives each of them alone."""
    import onnxruntime

    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(data.rglob("*.png"))])
    itself = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = (pixels / np.float32(255)).transpose(0, 3, 1, 2).astype(np.float32)
    wanted = np.concatenate([itself.run(["y"], {"x": fed[place : place + 1]})[0] for place in range(len(fed))])
    np.testing.assert_allclose(zoo.load(folder, precision="fp32")(pixels), wanted, atol=1e-4)
    np.testing.assert_array_equal(zoo.load(folder, precision="int8")(pixels).argmax(1), wanted.argmax(1))


@pytest.mark.parametrize("shape", [[1, 12], [1, -1], [-1, 12], [0, -1], [0, 12]])
def test_a_batch_of_one_in_a_reshape_is_freed(zoo_command, data, tmp_path, shape) -> None:
    onnx.save(colour_graph(shape), tmp_path / "net.onnx")
    done = export(zoo_command, "net.onnx", data)
    assert done.returncode == 0, done.stderr
    check_bundle(tmp_path / "net.zoo", colour_graph(shape), data)


def test_weights_that_are_listed_as_inputs_are_weights(zoo_command, data, tmp_path) -> None:
    model = colour_graph([1, -1], ir=3, weights_are_inputs=True)
    onnx.save(model, tmp_path / "net.onnx")
    done = export(zoo_command, "net.onnx", data)
    assert done.returncode == 0, done.stderr
    check_bundle(tmp_path / "net.zoo", model, data)


def test_pictures_that_are_mixed_for_good_are_refused(zoo_command, data, tmp_path) -> None:
    """The sum over the batch is no matter of a shape: nothing frees it."""
    model = colour_graph([1, -1])
    nodes = list(model.graph.node)
    nodes[-1].output[0] = "apart"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "first"))
    nodes.append(helper.make_node("ReduceSum", ["apart", "first"], ["all"], keepdims=1))
    nodes.append(helper.make_node("Add", ["apart", "all"], ["y"]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "net.onnx")
    refused = export(zoo_command, "net.onnx", data)
    assert refused.returncode == 2
    assert "made for one batch size: export it with a dynamic batch dimension" in " ".join(refused.stderr.split())
    assert not (tmp_path / "net.zoo").exists()


def test_weights_beside_the_graph_are_read(zoo_command, data, tmp_path) -> None:
    model = colour_graph([0, -1], "N")
    keep = {"save_as_external_data": True, "size_threshold": 0, "convert_attribute": False}
    onnx.save(onnx.ModelProto.FromString(model.SerializeToString()), tmp_path / "net.onnx", location="w.data", **keep)
    done = export(zoo_command, "net.onnx", data)
    assert done.returncode == 0, done.stderr
    check_bundle(tmp_path / "net.zoo", model, data)


@pytest.mark.parametrize("door", ["export", "bench"])
def test_weights_that_are_missing_or_elsewhere_are_one_line(zoo_command, data, tmp_path, door) -> None:
    def ask():
        if door == "export":
            return export(zoo_command, "net.onnx", data)
        return zoo_command("bench", "gate", "--baseline", "net.onnx", "--candidate", "net.onnx")

    keep = {"save_as_external_data": True, "size_threshold": 0, "convert_attribute": False}
    onnx.save(colour_graph([0, -1], "N"), tmp_path / "net.onnx", location="w.data", **keep)
    (tmp_path / "w.data").rename(tmp_path / "away.data")
    missing = ask()
    assert missing.returncode == 2
    assert "keeps its weights in w.data, which is not beside it: get that file, too" in " ".join(missing.stderr.split())
    model = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "../outside.data" if entry.key == "location" else entry.value
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path.parent / "outside.data").write_bytes(bytes(4096))
    outside = ask()
    assert outside.returncode == 2
    assert "outside of its folder: it is not read" in " ".join(outside.stderr.split())


def test_a_precision_that_fails_is_left_out_with_its_reason(zoo_command, data, tmp_path) -> None:
    """fp16 cannot hold the sum; fp32 and int8 are packed."""
    model = colour_graph([0, -1], "N")
    for tensor in model.graph.initializer:
        if tensor.name == "dense":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e6), "dense"))
    onnx.save(model, tmp_path / "net.onnx")
    done = export(
        zoo_command, "net.onnx", data, "--precision", "fp32,fp16,int8", "--min-agreement", "1", "--max-kl", "0"
    )
    said = " ".join(done.stderr.split())
    assert done.returncode == 0, said
    manifest = json.loads((tmp_path / "net.zoo" / "manifest.json").read_text())
    left_out = manifest["provenance"]["left_out"]
    assert "fp32" in manifest["graphs"]
    assert set(left_out) | set(manifest["graphs"]) == {"fp32", "fp16", "int8"}
    for precision, reason in left_out.items():
        assert f"{precision} is left out: {reason.split(':')[0]}" in said
        assert not (tmp_path / "net.zoo" / f"model.{precision}.onnx").exists()
    alone = export(zoo_command, "net.onnx", data, "--precision", next(iter(left_out)), "--max-kl", "0", "-o", "one.zoo")
    assert alone.returncode == 1
    assert "is not packed" in one_line(alone.stderr.splitlines()[-1])
    assert not (tmp_path / "one.zoo").exists()
