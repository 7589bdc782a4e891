"""What a strongly typed TensorRT refuses, found without TensorRT."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.graphs.strong_types import problems


def graph(*nodes: onnx.NodeProto, kind: int = TensorProto.FLOAT16, **constants: np.ndarray) -> onnx.ModelProto:
    made = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, [2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.UNDEFINED, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    del made.output[0].type.tensor_type.shape.dim[:]
    made.output[0].ClearField("type")
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)])


def test_packed_graphs_of_gpus_pass(bundle_path):
    for precision in ("fp32", "fp16"):
        assert problems(onnx.load(bundle_path / f"model.{precision}.onnx")) == []


def test_the_cpu_flavour_of_int8_does_not(bundle_path):
    found = problems(onnx.load(bundle_path / "model.int8.onnx"))
    assert any("must be int8, not uint8" in line for line in found)
    assert any("the zero point must be 0" in line for line in found)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (graph(helper.make_node("Add", ["x", "w"], ["y"], "sum"), w=np.ones(3, np.float32)), "Add|types do not fit"),
        (graph(helper.make_node("Clip", ["x", "", "six"], ["y"], "relu6"), six=np.float32(6)), "Clip|types do not fit"),
        (graph(helper.make_node("Hardmax", ["x"], ["y"], "one")), "Hardmax 'one'.*not supported"),
        (
            graph(helper.make_node("FusedConv", ["x"], ["y"], "fused", domain="com.microsoft")),
            "FusedConv 'fused'.*com.microsoft are no part of ONNX",
        ),
        (graph(helper.make_node("Cast", ["x"], ["y"], "up", to=TensorProto.DOUBLE)), "y is double"),
        (graph(helper.make_node("Identity", ["x"], ["y"], "same"), kind=TensorProto.UINT8), "uint8, which can only be"),
    ],
    ids=["mixed operands", "mixed limits", "operator", "domain", "double", "uint8"],
)
def test_each_objection_has_its_line(model, complaint):
    found = problems(model)
    assert len(found) >= 1
    assert re.search(complaint, found[0])
