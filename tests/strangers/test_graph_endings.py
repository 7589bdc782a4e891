"""Whatever somebody's graph ends in, losses and labels see its logits, or it is refused."""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from zoo.errors import InputError
from zoo.graphs.foreign import ForeignGraph
from zoo.learn.batch import Batch
from zoo.learn.label.config import LabelConfig
from zoo.learn.label.labeller import identity, labeller_class
from zoo.learn.teachers.onnx import open_teacher

# Means of the channels times a matrix, as `x`; then what makes `y`.
GRAPH = """
<ir_version: 8, opset_import: ["" : %d]>
theirs (float[N, 3, 4, 4] image) => (float[N, %d] y)
<float[3, 4] w = {3, -2, 1, 0, 0, 4, -1, 2, 1, 1, 2, -3}, int64[2] flat = {0, -1}, int64[4] map = {0, 4, 1, 1},
 int64[1] last = {1}, float one = {1}, float half = {0.5}, float cent = {100}, float minus = {-1}>
{
  means = GlobalAveragePool (image)
  m = Reshape (means, flat)
  x = MatMul (m, w)
  %s
}
"""
IMAGES = np.random.default_rng(0).integers(256, size=(5, 4, 4, 3), dtype=np.uint8)
WEIGHTS = np.array([3, -2, 1, 0, 0, 4, -1, 2, 1, 1, 2, -3]).reshape(3, 4)
LOGITS = (IMAGES / np.float32(255)).mean((1, 2)) @ WEIGHTS

SOFTMAX = {
    "plain": "y = Softmax (x)",
    "axis 1 of maps, flattened": "x4 = Reshape (x, map) p = Softmax <axis = 1> (x4) y = Flatten (p)",
    "squeezed": "x4 = Reshape (x, map) p = Softmax <axis = 1> (x4) i = Identity (p) y = Reshape (i, flat)",
    "cast there and back": "p = Softmax (x) h = Cast <to = 10> (p) y = Cast <to = 1> (h)",
    "logarithm": "p = Softmax (x) y = Log (p)",
    "log-softmax": "p = LogSoftmax (x) y = Identity (p)",
    "by hand": "e = Exp (x) s = ReduceSum (e, last) y = Div (e, s)",
    "log by hand": "e = Exp (x) s = ReduceSum (e, last) l = Log (s) y = Sub (x, l)",
    "twice, which changes nothing": "l = LogSoftmax (x) y = Softmax (l)",
    "clipped": "p = Softmax (x) y = Clip (p)",
}
SIGMOID = {
    "plain": "y = Sigmoid (x)",
    "maps": "x4 = Reshape (x, map) p = Sigmoid (x4) c = Cast <to = 1> (p) y = Flatten (c)",
    "identity": "p = Sigmoid (x) i = Identity (p) y = Identity (i)",
    "by hand": "n = Neg (x) e = Exp (n) d = Add (e, one) y = Div (one, d)",
    "reciprocal": "n = Mul (x, minus) e = Exp (n) d = Add (one, e) y = Reciprocal (d)",
    "tangent": "z = Mul (x, half) t = Tanh (z) h = Mul (t, half) y = Add (h, half)",
    "clipped": "p = Sigmoid (x) y = Clip (p)",
    "of parts": "a = Sigmoid (x) f, s = Split <axis = 1> (a, two) y = Concat <axis = 1> (f, s)",
}
REFUSED = {
    "sigmoid of a sigmoid": ("a = Sigmoid (x) y = Sigmoid (a)", "ends in a sigmoid of a sigmoid"),
    "softmax of a softmax": ("a = Softmax (x) y = Softmax (a)", "ends in a softmax of a softmax"),
    "softmax of a sigmoid": ("a = Sigmoid (x) y = Softmax (a)", "ends in a softmax of a sigmoid"),
    "percent": ("p = Softmax (x) y = Mul (p, cent)", "changes its scores after its Softmax"),
    "percent of a sigmoid": ("p = Sigmoid (x) y = Mul (p, cent)", "changes its scores after its Sigmoid"),
    "logarithm of a sigmoid": ("p = Sigmoid (x) y = Log (p)", "changes its scores after its Sigmoid"),
    "hard sigmoid": ("y = HardSigmoid (x)", "changes its scores after its HardSigmoid"),
    "over the batch": ("y = Softmax <axis = 0> (x)", "ends in a softmax that is not taken over its outputs"),
    "over pixels": ("x4 = Reshape (x, map) p = Softmax (x4) y = Flatten (p)", "not taken over its outputs"),
}


def graph(path, last, opset=18):
    text = GRAPH % (opset, 4, last)
    text = text.replace("int64[1] last", "int64[2] two = {2, 2}, int64[1] last")
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def asked(path, **more):
    numbers = torch.arange(len(IMAGES))
    batch = Batch(torch.from_numpy(IMAGES), numbers, numbers == numbers, numbers, numbers)
    return open_teacher(f"onnx:{path}", mean=(0, 0, 0), std=(1, 1, 1), size=None, **more).logits(batch).numpy()


def centred(logits):
    """A softmax does not change when a constant is added to its logits."""
    return logits - logits.mean(1, keepdims=True)


@pytest.mark.parametrize("last", SOFTMAX.values(), ids=SOFTMAX)
def test_a_softmax_is_undone(tmp_path, last):
    tolerance = 5e-2 if "to = 10" in last else 1e-3
    found = asked(graph(tmp_path / "g.onnx", last))
    np.testing.assert_allclose(centred(found), centred(LOGITS), atol=tolerance)


@pytest.mark.parametrize("last", SIGMOID.values(), ids=SIGMOID)
def test_a_sigmoid_is_undone(tmp_path, last):
    np.testing.assert_allclose(asked(graph(tmp_path / "g.onnx", last)), LOGITS, atol=1e-3)


def test_the_softmax_of_an_old_operator_set_is_over_all_that_follows_its_axis(tmp_path):
    last = "x4 = Reshape (x, map) p = Softmax (x4) y = Flatten (p)"  # the default axis is 1 there, and the last now
    found = asked(graph(tmp_path / "g.onnx", last, opset=12))
    np.testing.assert_allclose(centred(found), centred(LOGITS), atol=1e-3)


@pytest.mark.parametrize(
    "last", ["y = Identity (x)", "t = Tanh (x) y = Identity (t)", "s = Sigmoid (x) y = Mul (x, s)", "y = Relu (x)"]
)
def test_what_is_no_score_is_taken_as_it_is(tmp_path, last):
    values = {"Tanh": np.tanh(LOGITS), "Mul": LOGITS / (1 + np.exp(-LOGITS)), "Relu": np.maximum(LOGITS, 0)}
    expected = next((value for name, value in values.items() if name in last), LOGITS)
    np.testing.assert_allclose(asked(graph(tmp_path / "g.onnx", last)), expected, atol=1e-4)


@pytest.mark.parametrize(("last", "complaint"), REFUSED.values(), ids=REFUSED)
def test_scores_that_have_no_logits_are_refused_by_every_door(tmp_path, last, complaint):
    path = graph(tmp_path / "g.onnx", last)
    with pytest.raises(InputError, match=complaint):
        asked(path)
    with pytest.raises(InputError, match=complaint):
        labels_of(path, tmp_path)


def test_points_are_no_scores(tmp_path):
    found = asked(graph(tmp_path / "g.onnx", "y = Sigmoid (x)"), task="keypoints")
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-LOGITS)), atol=1e-5)


def labels_of(path, folder):
    (folder / "names.txt").write_text("a\nb\nc\nd\n")
    config = LabelConfig(
        teacher="onnx", onnx=path, labels=folder / "names.txt", mean=(0, 0, 0), std=(1, 1, 1), max_results=4
    )
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 128, np.uint8)).save(file, "PNG")
    said = dict(labeller_class("onnx")(config).ask(file.getvalue()).tags)
    return [said[name] for name in "abcd"], identity(config)


@pytest.mark.parametrize("last", [*SIGMOID.values(), *SOFTMAX.values()], ids=[*SIGMOID, *[f"s {n}" for n in SOFTMAX]])
def test_labels_get_the_scores_that_the_graph_means(tmp_path, last):
    logits = np.full(3, 128 / 255) @ WEIGHTS
    shares = np.exp(logits) / np.exp(logits).sum() if last in SOFTMAX.values() else 1 / (1 + np.exp(-logits))
    said, about = labels_of(graph(tmp_path / "g.onnx", last), tmp_path)
    np.testing.assert_allclose(said, shares, atol=1e-3)
    if last in SIGMOID.values():
        assert about["ending"] == "sigmoid"


def test_a_graph_says_how_it_ends(tmp_path):
    theirs = ForeignGraph(graph(tmp_path / "g.onnx", SIGMOID["by hand"]), mean=(0, 0, 0), std=(1, 1, 1))
    assert theirs.ending == "sigmoid"
