"""Folders called 1 to 12: timm counts 2 before 10, torchvision 10 before 2, and a network's file says neither."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from tests.support.command import one_line
from zoo.tasks.class_order import in_order, other_order_fits, sorted_as

NUMBERS = [str(number) for number in range(1, 13)]
SIDE = 16


def grey(name: str) -> int:
    return 20 * int(name)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Path:
    """`data/{train,val}/1 ... 12` of grey pictures, and net.onnx, which knows them and whose outputs follow timm's
    order: the logit of a class is large where the mean of the pixels is its grey.
    """
    folder = tmp_path_factory.mktemp("stranger")
    for split in ("train", "val"):
        for name in NUMBERS:
            (folder / "data" / split / name).mkdir(parents=True)
            for place in range(3):
                colour = (grey(name) + place,) * 3
                Image.new("RGB", (SIDE, SIDE), colour).save(folder / "data" / split / name / f"{place}.png")
    levels = np.array([grey(name) for name in NUMBERS], np.float32) / 255
    constants = {
        "scale": np.float32(1 / 765),
        "weight": np.tile(2 * levels, (3, 1)).astype(np.float32) * 100,
        "bias": (-(levels**2) * 100).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "scale"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weight", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "greys",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(NUMBERS)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    (folder / "labels.json").write_text(json.dumps(NUMBERS))
    return folder


def export(zoo_command, stranger, *words):
    return zoo_command(
        "export", stranger / "net.onnx", "--data", stranger / "data", "--precision", "fp32", "-o", "net.zoo", *words
    )


def bench(zoo_command, stranger, *words):
    words = ("--evaluate", stranger / "data", "--quick", "--batch", 1, "--threads", 1, "--json", *words)
    return zoo_command("bench", "run", "--teacher", f"onnx:{stranger / 'net.onnx'}", *words)


@pytest.mark.parametrize("ask", [export, bench])
def test_an_order_that_cannot_be_told_is_asked_for(zoo_command, stranger, tmp_path, ask) -> None:
    asked = ask(zoo_command, stranger)
    assert asked.returncode == 2
    line = one_line(asked.stderr)
    assert "output 1 of the network is '2' if timm numbered these folders, '10' if torchvision did" in line
    assert "--class-order natural or lexical" in line
    assert not list(tmp_path.glob("*.zoo"))


def test_export_says_which_order_fits(zoo_command, stranger, tmp_path) -> None:
    wrong = export(zoo_command, stranger, "--class-order", "lexical")
    assert wrong.returncode == 2
    assert "100.00% in natural order: --class-order natural" in " ".join(wrong.stderr.split())
    assert not (tmp_path / "net.zoo").exists()
    right = export(zoo_command, stranger, "--class-order", "natural")
    assert right.returncode == 0, right.stderr
    assert "outputs are taken in this order: 1, 2, 3, 4 ... 9, 10, 11, 12 (12)" in " ".join(right.stderr.split())
    manifest = json.loads((tmp_path / "net.zoo" / "manifest.json").read_text())
    assert manifest["accuracy"]["graphs"]["fp32"] == 1
    assert json.loads((tmp_path / "net.zoo" / "labels.json").read_text()) == NUMBERS


def test_the_bench_says_which_order_fits(zoo_command, stranger) -> None:
    wrong = bench(zoo_command, stranger, "--class-order", "lexical")
    assert wrong.returncode == 4
    assert "--class-order natural" in " ".join(wrong.stderr.split())
    for words in (("--class-order", "natural"), ("--labels", stranger / "labels.json")):
        right = bench(zoo_command, stranger, *words)
        assert right.returncode == 0, right.stderr
        (row,) = json.loads(right.stdout)["rows"]
        assert row["accuracy"]["value"] == 1
    both = bench(zoo_command, stranger, "--class-order", "natural", "--labels", stranger / "labels.json")
    assert both.returncode == 2
    assert "leave --class-order out" in one_line(both.stderr)


def test_names_that_both_libraries_sort_alike_ask_for_nothing(tmp_path, capsys) -> None:
    assert (
        in_order(["02", "10", "cat"], None, tmp_path)
        == ["02", "10", "cat"]
        == sorted_as(["02", "10", "cat"], "natural")
    )
    assert "outputs are taken in this order: 02, 10, cat" in " ".join(capsys.readouterr().err.split())


def test_capitals_are_sorted_otherwise_by_timm_too() -> None:
    assert sorted_as(["Zebra", "ant"], "natural") == ["ant", "Zebra"]
    assert sorted_as(["Zebra", "ant"], "lexical") == ["Zebra", "ant"]


def test_a_network_that_knows_nothing_in_either_order_is_not_blamed_on_it() -> None:
    random = np.random.default_rng(0)
    found, targets = random.integers(12, size=(2, 400))
    assert other_order_fits(found, targets, sorted_as(NUMBERS, "natural")) == ""
    assert other_order_fits(targets, targets, sorted_as(NUMBERS, "natural")) == ""
