"""ONNX teachers: any classifier's graph answers what its network answers, or is refused with the reason."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from zoo import models
from zoo.engines.onnxruntime.session import CPU, open_session, session_options
from zoo.errors import EnvironmentProblem, InputError, ZooError
from zoo.graphs.foreign import ForeignGraph
from zoo.learn.batch import Batch
from zoo.learn.teachers.by_recipe import teacher_by_recipe
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.teachers.onnx import open_teacher
from zoo.learn.train.batches import Batches
from zoo.models import checkpoint
from zoo.models.normalisation import Normalised

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
WEIGHTS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)


def batch_of(images):
    every = torch.ones(len(images), dtype=torch.bool)
    return Batch(images, torch.zeros(len(images)), every, torch.arange(len(images)), torch.zeros(len(images)))


def pictures_of(count, size):
    return torch.randint(0, 256, (count, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def ask(model, images, **more):
    return open_teacher(model, mean=MEAN, std=STD, **{"size": None, **more}).logits(batch_of(images))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network and the graph that torch exports of it, as third parties do: normalised float [N, 3, 16, 16]."""
    torch.manual_seed(0)
    network = models.build("vgg", classes=7, size=16, depth=8, width=0.125).eval()
    path = tmp_path_factory.mktemp("graphs") / "vgg.onnx"
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    free = ({0: torch.export.Dim("batch", min=1, max=64)},)
    torch.onnx.export(network, (torch.zeros(2, 3, 16, 16),), path, dynamo=True, dynamic_shapes=free, verbose=False)
    return network, path


def graph(path, *, shape, kind=TensorProto.FLOAT, last="Identity", outputs=("scores",), inputs=1):
    """A graph as others make them: channel means times a matrix, by another signature each time."""
    channels_first = shape[1] == 3
    nodes = [
        helper.make_node("Cast", ["picture"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["product"]),
        helper.make_node(last, ["product"], [outputs[0]]),
        *(helper.make_node("Neg", ["product"], [name]) for name in outputs[1:]),
    ]
    constants = {"axes": np.array([2, 3] if channels_first else [1, 2]), "weights": WEIGHTS}
    names = ["picture", "other"][:inputs]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "means",
            [helper.make_tensor_value_info(name, kind, shape) for name in names],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], 5]) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.save(model, path)
    return f"onnx:{path}"


def normalised_means(images):
    return ((images.numpy() / 255 - MEAN) / STD).mean((1, 2))


def test_a_graph_answers_as_the_network_it_was_exported_from(exported):
    network, path = exported
    images = pictures_of(9, 16)
    expected = OnlineTeacher(Normalised(network, MEAN, STD)).logits(batch_of(images))
    torch.testing.assert_close(ask(f"onnx:{path}", images), expected, rtol=1e-4, atol=1e-4)
    larger = pictures_of(3, 24)  # the student's pictures are brought to the side that the graph wants
    expected = OnlineTeacher(Normalised(network, MEAN, STD), size=16).logits(batch_of(larger))
    torch.testing.assert_close(ask(f"onnx:{path}", larger), expected, rtol=1e-4, atol=1e-4)


def test_a_bundle_answers_as_the_checkpoint_it_was_packed_from(run, bundle_path):
    network, _ = checkpoint.load(run.folder / "mobilenet_v2")
    images = torch.from_numpy(run.splits.test.images)
    expected = OnlineTeacher(network).logits(batch_of(images))
    torch.testing.assert_close(ask(f"bundle:{bundle_path}", images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [["n", 3, 8, 8], [1, 3, 8, 8], [4, 3, "h", "w"], ["n", 8, 8, 3], [4, None, None, 3]])
def test_any_layout_and_any_batch(tmp_path, shape):
    images = pictures_of(6, 8)
    answers = ask(graph(tmp_path / "g.onnx", shape=shape), images, size=8)
    np.testing.assert_allclose(answers.numpy(), normalised_means(images) @ WEIGHTS, rtol=1e-4, atol=1e-4)


def test_a_graph_of_bytes_normalises_by_itself(tmp_path):
    images = pictures_of(2, 8)
    answers = ask(graph(tmp_path / "g.onnx", shape=["n", 8, 8, 3], kind=TensorProto.UINT8), images)
    np.testing.assert_allclose(answers.numpy(), images.numpy().mean((1, 2)) @ WEIGHTS, rtol=1e-4)


def test_one_of_several_outputs_is_named(tmp_path):
    model = graph(tmp_path / "g.onnx", shape=["n", 3, 8, 8], outputs=("scores", "negative"))
    images = pictures_of(2, 8)
    torch.testing.assert_close(ask(f"{model}#negative", images), -ask(f"{model}#scores", images))
    with pytest.raises(InputError, match=r"2 outputs; name one, as in .*g.onnx#scores: scores, negative$"):
        ask(model, images)
    with pytest.raises(InputError, match="no output 'score'; it has: scores, negative; did you mean 'scores'"):
        ask(f"{model}#score", images)


def test_probabilities_become_logits(tmp_path, capsys):
    images = pictures_of(4, 8)
    logits = ask(graph(tmp_path / "plain.onnx", shape=["n", 3, 8, 8]), images)
    found = ask(graph(tmp_path / "soft.onnx", shape=["n", 3, 8, 8], last="Softmax"), images)
    torch.testing.assert_close(found, F.log_softmax(logits, dim=1), rtol=1e-4, atol=1e-4)
    assert "ends in probabilities" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("last", ["Sigmoid", "LogSoftmax"])
def test_losses_see_the_logits_of_a_graph_that_ends_in_scores(tmp_path, last):
    images = pictures_of(4, 8)
    logits = ask(graph(tmp_path / "plain.onnx", shape=["n", 3, 8, 8]), images)
    found = ask(graph(tmp_path / "scores.onnx", shape=["n", 3, 8, 8], last=last), images)
    expected = logits if last == "Sigmoid" else F.log_softmax(logits, dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_the_fingerprint_belongs_to_file_output_and_normalisation(tmp_path):
    def fingerprint(model, std=STD):
        return open_teacher(model, mean=MEAN, std=std, size=None).fingerprint

    both = graph(tmp_path / "both.onnx", shape=["n", 3, 8, 8], outputs=("scores", "negative"))
    other = graph(tmp_path / "other.onnx", shape=[1, 3, 8, 8])
    assert fingerprint(other) == fingerprint(other)
    assert len({fingerprint(each) for each in (f"{both}#scores", f"{both}#negative", other)}) == 3
    assert fingerprint(other) != fingerprint(other, std=MEAN)


@pytest.mark.parametrize(
    ("make", "given", "complaint"),
    [
        ({"shape": ["n", 3, 8, 8], "inputs": 2}, {}, r"2 inputs \(picture, other\), not one picture"),
        (
            {"shape": ["n", 8, 8, "c"]},
            {},
            r"takes float32 \[\?, 8, 8, \?\], and uint8 or float32 or float16 \[N, 3, h",
        ),
        ({"shape": ["n", 3, 8, 9]}, {}, r"takes float32 \[\?, 3, 8, 9\], and squares are needed"),
        ({"shape": ["n", 3, "h", "w"]}, {}, r"any size: say with teacher\.size"),
        ({"shape": ["n", 3, 8, 8]}, {"size": 32}, r"takes pictures of 8 pixels, not 32: leave teacher\.size out"),
        ({"shape": ["n", 3, 8, 8]}, {"outputs": 10}, "answers with 5 numbers and 10 are needed"),
    ],
)
def test_a_graph_that_does_not_fit_is_refused_with_the_reason(tmp_path, make, given, complaint):
    model = graph(tmp_path / "g.onnx", **make)
    with pytest.raises(InputError, match=complaint):
        ask(model, pictures_of(1, 8), **given)


def test_what_is_no_graph_is_refused(tmp_path):
    (tmp_path / "notes.onnx").write_text("not a graph")
    for model, complaint in (
        (f"onnx:{tmp_path / 'notes.onnx'}", "is no ONNX file, or a damaged one"),
        (f"onnx:{tmp_path / 'missing.onnx'}", "no such ONNX file"),
        (f"bundle:{tmp_path / 'missing.zoo'}", "no such bundle"),
        ("timm:resnet18", "no ONNX teacher"),
    ):
        with pytest.raises(ZooError, match=complaint):
            ask(model, pictures_of(1, 8))


def test_its_answers_are_stored(run, bundle_path, tmp_path):
    """The same way as a network's: any teacher with a fingerprint may be cached."""
    teacher = open_teacher(f"bundle:{bundle_path}", mean=MEAN, std=STD, size=None, outputs=3)
    cached = teacher_by_recipe(teacher, run.splits.train, run.views, run.recipe, teacher.outputs, tmp_path)
    for batch in Batches(run.splits.train, run.views, run.task, batch=16, steps=2, seed=0):
        torch.testing.assert_close(cached.logits(batch), teacher.logits(batch), rtol=1e-3, atol=2e-3)
    assert cached.tally.asked == 32


def test_on_a_gpu_it_is_a_plain_session_that_never_falls_back(tmp_path, monkeypatch):
    path = tmp_path / "graph.onnx"
    graph(path, shape=["N", 3, 8, 8])
    with pytest.raises(EnvironmentProblem, match=r"onnxruntime .* cuda|CUDAExecutionProvider"):
        ForeignGraph(path, mean=MEAN, std=STD, device="cuda")  # the real library, where there is no GPU
    opened = []

    def on_the_cpu_instead(file, options, provider, settings):
        entry = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        opened.append((provider, settings, entry))
        return open_session(file, session_options(1), CPU, {})

    monkeypatch.setattr("zoo.graphs.foreign.open_session", on_the_cpu_instead)
    images = pictures_of(2, 8).numpy()
    answers = ForeignGraph(path, mean=MEAN, std=STD, device="cuda:1", threads=1)(images)
    assert opened == [("CUDAExecutionProvider", {"device_id": "1"}, "1")]
    monkeypatch.undo()
    assert np.array_equal(answers, ForeignGraph(path, mean=MEAN, std=STD)(images))
