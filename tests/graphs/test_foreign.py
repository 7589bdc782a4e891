"""The one reader of somebody's graph: logits come out whatever its last operator is; torch and onnx are not needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.places import ROOT
from zoo.errors import InputError
from zoo.graphs.ending import last_operator, to_logits
from zoo.graphs.foreign import ForeignGraph, file_and_output, open_signature
from zoo.graphs.index import Index
from zoo.graphs.structure import files_of, parameters, read_structure

WEIGHTS = np.random.default_rng(0).normal(scale=4, size=(3, 5)).astype(np.float32)
IMAGES = np.random.default_rng(1).integers(256, size=(6, 8, 4, 3), dtype=np.uint8)
LOGITS = (IMAGES / np.float32(255)).mean((1, 2)) @ WEIGHTS


def graph(path: Path, *last: onnx.NodeProto, saved: dict | None = None, half: bool = False) -> Path:
    """Channel means of float [n, 3, 8, 4] times a matrix, as `x`; then the nodes `last`, which make `y`."""
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["x"]),
        *(last or [helper.make_node("Identity", ["x"], ["y"])]),
    ]
    constants = {
        "axes": np.array([2, 3]),
        "weights": WEIGHTS,
        "flat": np.array([0, -1]),
        "four": np.array([0, 5, 1, 1]),
    }
    made = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16 if half else TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, path, **(saved or {}))
    return path


def node(kind: str, source: str, target: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(kind, [source, *attributes.pop("more", [])], [target], **attributes)  # type: ignore[misc]


def opened(path: Path) -> ForeignGraph:
    return ForeignGraph(path, mean=(0, 0, 0), std=(1, 1, 1))


def centred(logits: np.ndarray) -> np.ndarray:
    """A softmax does not change when a constant is added to its logits."""
    return logits - logits.mean(1, keepdims=True)


SOFTMAX, SIGMOID = node("Softmax", "x", "p", axis=1), node("Sigmoid", "x", "p")
MAPS = [node("Reshape", "x", "x4", more=["four"]), node("Softmax", "x4", "p", axis=1), node("Flatten", "p", "y")]
BY_HAND = [
    node("Exp", "x", "e"),
    node("ReduceSum", "e", "s", more=["one"], keepdims=1),
    helper.make_node("Div", ["e", "s"], ["y"]),
]


@pytest.mark.parametrize(
    ("last", "ending"),
    [
        ([], "none"),
        ([node("Softmax", "x", "y")], "softmax"),
        ([SOFTMAX, node("Identity", "p", "y")], "softmax"),
        (
            [node("Reshape", "x", "x4", more=["four"]), node("Softmax", "x4", "p", axis=1), node("Flatten", "p", "y")],
            "softmax",
        ),
        ([node("LogSoftmax", "x", "y")], "log-softmax"),
        ([node("Sigmoid", "x", "y")], "sigmoid"),
        ([SIGMOID, node("Reshape", "p", "y", more=["flat"])], "sigmoid"),
        ([node("Constant", "", "one", value=numpy_helper.from_array(np.array([1]))), *BY_HAND], "softmax"),
    ],
    ids=["logits", "softmax", "identity", "maps", "log-softmax", "sigmoid", "reshape", "softmax by hand"],
)
def test_logits_come_out_whatever_the_last_operator_is(tmp_path, last, ending):
    for each in last:
        if each.op_type == "Constant":
            del each.input[:]
    theirs = opened(graph(tmp_path / "g.onnx", *last))
    assert (theirs.ending, theirs.outputs, theirs.height, theirs.width) == (ending, 5, 8, 4)
    found = theirs(IMAGES)
    assert found.dtype == np.float32
    if ending in {"none", "sigmoid"}:
        np.testing.assert_allclose(found, LOGITS, rtol=1e-4, atol=1e-4)
    else:
        np.testing.assert_allclose(centred(found), centred(LOGITS), rtol=1e-4, atol=1e-4)


def test_logits_of_numbers_that_were_rounded_to_0_and_1_are_finite():
    for dtype, most in ((np.float32, 16), (np.float16, 7)):
        certain = np.array([[0, 0.5, 1]], dtype)
        logits = to_logits(certain, "sigmoid")
        assert np.isfinite(logits).all()
        assert logits[0, 1] == 0
        assert logits[0, 2] > most
        assert logits[0, 0] < -most
        assert np.isfinite(to_logits(certain, "softmax")).all()
    assert to_logits(np.float32([[-3, 4]]), "log-softmax").tolist() == [[-3, 4]]


def test_a_sigmoid_in_half_precision_is_undone_too(tmp_path):
    path = graph(tmp_path / "g.onnx", SIGMOID, node("Cast", "p", "y", to=TensorProto.FLOAT16), half=True)
    np.testing.assert_allclose(opened(path)(IMAGES), LOGITS, atol=0.05)


def test_one_picture_of_a_fixed_batch_is_as_many_pictures(tmp_path):
    model = onnx.load(graph(tmp_path / "g.onnx"))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, tmp_path / "four.onnx")
    theirs = opened(tmp_path / "four.onnx")
    assert theirs.signature.batch == 4
    np.testing.assert_allclose(theirs(IMAGES), LOGITS, rtol=1e-4, atol=1e-5)


def test_weights_in_a_file_of_any_name_belong_to_the_graph(tmp_path):
    outside = {
        "save_as_external_data": True,
        "location": "w.bin",
        "size_threshold": 80,
    }  # the axes of ReduceMean stay inside: shapes are inferred from them
    path = graph(tmp_path / "g.onnx", saved=outside)
    assert files_of(path) == [path, tmp_path / "w.bin"]
    assert files_of(graph(tmp_path / "whole.onnx")) == [tmp_path / "whole.onnx"]
    assert parameters(path) == 2 + 15 + 2 + 4
    np.testing.assert_allclose(opened(path)(IMAGES), LOGITS, rtol=1e-4, atol=1e-5)


def test_the_structure_is_the_same_that_onnx_reads(tmp_path):
    path = graph(tmp_path / "g.onnx", SOFTMAX, node("Identity", "p", "y"))
    whole, light = Index(onnx.load(path)), Index(read_structure(path))
    assert light.inputs == whole.inputs == {"image"}
    assert light.outputs == whole.outputs == {"y"}
    assert [n.op_type for n in light.nodes] == [n.op_type for n in whole.nodes]
    assert last_operator(light, "y") == last_operator(whole, "y")
    assert (whole.maker("p", "Softmax"), whole.maker("p", "Conv"), whole.place("p")) == (whole.nodes[2], None, 2)
    assert whole.read_once("x")
    assert not whole.read_once("y")
    assert whole.shape("weights") == light.shape("weights") == [3, 5]
    assert whole.shape("image") == [None, 3, 8, 4]
    assert Index(onnx.load(path), infer=True).shape("means") == [None, 3]


def test_what_is_no_graph_is_one_line(tmp_path):
    (tmp_path / "text.onnx").write_text("not a graph")
    with pytest.raises(InputError, match="is no ONNX file, or a damaged one"):
        read_structure(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="is no ONNX file, or a damaged one"):
        open_signature(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="no such ONNX file"):
        file_and_output(str(tmp_path / "gone.onnx#y"))


def test_running_somebodys_graph_needs_neither_torch_nor_onnx(tmp_path):
    path = graph(tmp_path / "g.onnx", node("Softmax", "x", "y"))
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx')))\n"  # None: importing it fails
        "from pathlib import Path; import numpy as np; from zoo.graphs.foreign import ForeignGraph\n"
        f"print(ForeignGraph(Path({str(path)!r}), mean=(0, 0, 0), std=(1, 1, 1)).ending)"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "softmax"
