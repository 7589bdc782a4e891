"""Torch as an engine: what is asked for is what runs. The GPU's side runs on a stand-in for torch's CUDA calls."""

from __future__ import annotations

import contextlib
import inspect

import numpy as np
import pytest
import torch

from zoo.engines.backend import Timed
from zoo.engines.cuda_lane import BATCH_SIZES
from zoo.engines.torch.cuda import lane
from zoo.engines.torch.network import Edges, Served
from zoo.errors import EnvironmentProblem, InputError
from zoo.models import checkpoint
from zoo.models.eager import from_checkpoint


def served(run, **how):
    return Served(checkpoint.load(run.folder / "vgg")[0], **how)


def test_eager_answers_are_the_checkpoints(run):
    images = run.splits.test.images
    engine = served(run, threads=1)
    np.testing.assert_array_equal(engine.run(images), from_checkpoint(run.folder / "vgg").logits(images))
    assert (engine.name, engine.device, engine.threads) == ("torch", "cpu", 1)
    assert engine.versions() == {"torch": torch.__version__}
    assert not isinstance(engine, Timed)


def test_bf16_is_another_arithmetic_with_the_same_meaning(run):
    images = run.splits.test.images
    exact, rough = served(run).run(images), served(run, precision="bf16").run(images)
    assert rough.dtype == np.float32
    assert np.abs(exact - rough).max() > 0
    assert (exact.argmax(1) == rough.argmax(1)).mean() > 0.9


@pytest.mark.parametrize(
    ("how", "complaint", "kind"),
    [
        ({"precision": "fp16"}, "torch runs in fp32, bf16 on cpu, not in fp16", InputError),
        ({"precision": "int8", "device": "cuda"}, "not in int8", InputError),
        ({"device": "tpu"}, "no device 'tpu'", InputError),
        ({"cuda_graph": True}, "for device 'cuda'", InputError),
        ({"device": "cuda:99"}, "no device 'cuda:99'", EnvironmentProblem),
    ],
)
def test_what_cannot_be_is_refused(run, how, complaint, kind):
    with pytest.raises(kind, match=complaint):
        served(run, **how)


def test_a_network_that_leaves_its_precision_is_an_error():
    class Widens(torch.nn.Module):
        def forward(self, x):
            return x.double()

    with pytest.raises(EnvironmentProblem, match=r"asked for torch\.bfloat16 and answers in torch\.float64"):
        Edges(Widens(), torch.bfloat16)(torch.zeros(1, 3, 2, 2))


class FakeCuda:
    """`torch.cuda` in host memory. What is captured runs when it is replayed. Arguments are held to the real calls'."""

    def __init__(self):
        self.log: list[str] = []
        self.time = 0.0

    def Stream(self, **arguments):  # noqa: N802
        inspect.signature(torch.cuda.Stream.__new__).bind(torch.cuda.Stream, **arguments)
        return Queue(self)

    def Event(self, **arguments):  # noqa: N802
        inspect.signature(torch.cuda.Event.__new__).bind(torch.cuda.Event, **arguments)
        return Moment(self)

    def CUDAGraph(self):  # noqa: N802
        return Captured(self)

    @contextlib.contextmanager
    def stream(self, stream):
        inspect.signature(torch.cuda.stream).bind(stream)
        self.log.append("on the stream")
        yield

    @contextlib.contextmanager
    def graph(self, graph, **arguments):
        inspect.signature(torch.cuda.graph).bind(graph, **arguments)
        assert arguments["capture_error_mode"] == "thread_local"
        self.log.append("capturing")
        yield


class Queue:
    def __init__(self, cuda):
        self._cuda = cuda

    def synchronize(self):
        assert hasattr(torch.cuda.Stream, "synchronize")
        self._cuda.log.append("waited")


class Moment:
    def __init__(self, cuda):
        self._cuda = cuda

    def record(self, stream):
        inspect.signature(torch.cuda.Event.record).bind(self, stream)
        self._cuda.time += 1.0
        self.at = self._cuda.time

    def elapsed_time(self, end):
        assert hasattr(torch.cuda.Event, "elapsed_time")
        return end.at - self.at


class Captured:
    def __init__(self, cuda):
        self._cuda = cuda

    def replay(self):
        assert hasattr(torch.cuda.CUDAGraph, "replay")
        self._cuda.log.append("replayed")


def lane_of(run, cuda, *, cuda_graph):
    network, _ = checkpoint.load(run.folder / "vgg")
    return lane(network.eval().forward, torch.device("cpu"), cuda, cuda_graph=cuda_graph)


def test_on_a_gpu_every_batch_size_has_its_buffers(run):
    cuda = FakeCuda()
    engine = lane_of(run, cuda, cuda_graph=False)
    expected = served(run)
    images = run.splits.test.images
    for count in (*range(1, BATCH_SIZES + 4), 1, 3):
        np.testing.assert_allclose(engine.run(images[:count]), expected.run(images[:count]), atol=1e-5)
    kept = engine.run(images[:2])
    engine.run(images[2:4])
    np.testing.assert_allclose(kept, expected.run(images[:2]), atol=1e-5)  # an answer is the caller's
    assert cuda.log.count("on the stream") == BATCH_SIZES + 7
    assert len(engine._ready) == BATCH_SIZES


def test_a_graph_is_captured_once_and_replayed(run):
    cuda = FakeCuda()
    engine = lane_of(run, cuda, cuda_graph=True)
    images = run.splits.test.images[:4]
    for _ in range(3):
        engine.run(images)
    assert engine.compute_seconds(images, 5) == [1e-3] * 5
    assert (cuda.log.count("capturing"), cuda.log.count("replayed")) == (1, 8)
    engine.compute_seconds(images, 2, before=lambda: cuda.log.append("emptied"))
    assert [word for word in cuda.log if word in ("emptied", "replayed")][8:] == ["emptied", "replayed"] * 2


@pytest.mark.slow
def test_a_compiled_engine_answers_the_same(run):
    images = run.splits.test.images[:4]
    engine = served(run, compile=True)
    assert engine.name == "torch-compile"
    np.testing.assert_allclose(engine.run(images), served(run).run(images), atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("cuda_graph", [False, True])
def test_on_a_real_gpu(run, precision, cuda_graph):
    images = run.splits.test.images[:4]
    engine = served(run, device="cuda", precision=precision, cuda_graph=cuda_graph)
    np.testing.assert_allclose(engine.run(images), served(run).run(images), rtol=0.1, atol=0.1)
    assert isinstance(engine, Timed)
    assert min(engine.compute_seconds(images, 3)) > 0
