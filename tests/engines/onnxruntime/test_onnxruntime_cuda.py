"""The onnxruntime backend on a GPU, on a fake provider with the real one's surface. Answers are real: the library's CPU
provider computes them. What a GPU would do is not shown here.
"""

from __future__ import annotations

import gc

import numpy as np
import pytest

import zoo
from tests.support.fakes import fake_onnxruntime_cuda, fake_tensorrt
from tests.support.fakes.fake_cuda import Gpu
from tests.support.fakes.fake_onnxruntime_cuda import World
from zoo.engines.backend import Closable, Profiled, Timed
from zoo.engines.cuda import gpu_number
from zoo.engines.cuda_lane import BATCH_SIZES
from zoo.errors import EnvironmentProblem, InputError


@pytest.fixture
def world(monkeypatch) -> World:
    world = World(Gpu())
    fake_tensorrt.install(fake_tensorrt.World(world.gpu, "11.4.0.106"), monkeypatch)
    fake_onnxruntime_cuda.install(world, monkeypatch)
    return world


@pytest.mark.parametrize("cuda_graph", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_answers_are_the_graphs(bundle_path, run, world, precision, cuda_graph, capsys):
    engine = zoo.load(bundle_path, precision=precision, device="cuda", cuda_graph=cuda_graph, selftest=False)
    expected = zoo.load(bundle_path, precision=precision)
    images = run.splits.test.images
    for count in (1, 5, 1, 20, 5):
        np.testing.assert_allclose(engine(images[:count]), expected(images[:count]), atol=1e-5)
    kept = engine(images[:5])
    engine(images[5:10])
    np.testing.assert_allclose(kept, expected(images[:5]), atol=1e-5)  # an answer is the caller's
    assert len(world.captured) == (3 if cuda_graph else 0)
    about = engine.describe()
    assert about["options"]["enable_cuda_graph"] == str(int(cuda_graph))
    assert (about["provider"], about["gpu"]) == ("CUDAExecutionProvider", "NVIDIA Test GPU")
    assert capsys.readouterr().out == ""  # what the library prints about its libraries is not a result


def test_the_scope_compute_is_there_on_a_gpu_alone(bundle_path, run, world):
    engine = zoo.load(bundle_path, device="cuda", cuda_graph=True, selftest=False)
    assert engine.backend.compute_seconds(run.splits.test.images[:4], 3) == [pytest.approx(1e-3)] * 3
    assert world.replays == 4
    seen = []
    engine.backend.compute_seconds(run.splits.test.images[:4], 2, before=lambda: seen.append(world.replays))
    assert seen == [4, 5]  # right before each run that is timed; the one that is not was the batch size's first
    on_cpu = zoo.load(bundle_path).backend
    for ability, on_gpu in ((Timed, True), (Closable, True), (Profiled, False)):
        assert (isinstance(engine.backend, ability), isinstance(on_cpu, ability)) == (on_gpu, not on_gpu)


@pytest.mark.parametrize(("cuda_graph", "most"), [(True, 24), (False, BATCH_SIZES)])
def test_many_batch_sizes_do_not_fill_the_memory(bundle_path, run, world, cuda_graph, most):
    """What a CUDA graph was captured with stays; of the others, as many."""
    engine, expected = zoo.load(bundle_path, device="cuda", cuda_graph=cuda_graph), zoo.load(bundle_path)
    images = run.splits.test.images
    sizes = range(1, 25)
    for count in (*sizes, *sizes):
        np.testing.assert_allclose(engine(images[:count]), expected(images[:count]), atol=1e-5)
    assert len(world.gpu.memory) == 4 * most
    assert len(world.captured) == (BATCH_SIZES if cuda_graph else 0)


def test_everything_is_given_back_in_order(bundle_path, run, world):
    engine = zoo.load(bundle_path, device="cuda")
    engine(run.splits.test.images[:2])
    engine.backend.close()
    assert (world.gpu.used(), world.gpu.streams, world.sessions) == (0, {}, 0)
    assert world.gpu.log == ["memory"] * 4 + ["session", "stream"]
    with pytest.raises(InputError, match="was closed"):
        engine(run.splits.test.images[:2])
    zoo.load(bundle_path, device="cuda")(run.splits.test.images[:2])
    del engine
    gc.collect()
    assert (world.gpu.used(), world.gpu.streams) == (0, {})


def test_a_gpu_by_its_number(bundle_path, run, world):
    world.gpu.count = 2
    second, first = (zoo.load(bundle_path, device=device) for device in ("cuda:1", "cuda"))
    images = run.splits.test.images[:3]
    np.testing.assert_array_equal(second(images), first(images))
    assert second.describe()["device"] == "cuda:1"
    with pytest.raises(EnvironmentProblem, match="no device 'cuda:2': CUDA counts 2 from cuda:0 on"):
        zoo.load(bundle_path, device="cuda:2")
    assert [gpu_number(name) for name in ("cuda", "cuda:3", "cpu", "cuda:", "cuda:x")] == [0, 3, None, None, None]


@pytest.mark.parametrize("option", ["prefer_nhwc", "use_tf32", "enable_cuda_graph", "has_user_compute_stream"])
def test_an_option_that_is_not_followed_is_an_error(bundle_path, world, option, monkeypatch):
    world.ignored.add(option)
    if option == "has_user_compute_stream":
        real = fake_onnxruntime_cuda.Session.get_provider_options
        monkeypatch.setattr(
            fake_onnxruntime_cuda.Session,
            "get_provider_options",
            lambda self: {"CUDAExecutionProvider": {**real(self)["CUDAExecutionProvider"], option: "0"}},
        )
    with pytest.raises(EnvironmentProblem, match=f"asked for {option}=. and uses ."):
        zoo.load(bundle_path, device="cuda", cuda_graph=True)
    assert (world.gpu.used(), world.gpu.streams, world.sessions) == (0, {}, 0)


def test_a_node_on_the_cpu_is_an_error(bundle_path, world):
    world.elsewhere = True
    line = "runs Squeeze node_2, Squeeze node_2, Squeeze node_2 and 1 more elsewhere"
    with pytest.raises(EnvironmentProblem, match=line):
        zoo.load(bundle_path, device="cuda")


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_a_node_that_the_provider_does_not_have_is_named(bundle_path, world, cuda_graph):
    world.unheard = True
    line = "cannot run all of model.fp32.onnx on cuda: the provider does not take Squeeze node_2, .* take device cpu"
    with pytest.raises(EnvironmentProblem, match=line):
        zoo.load(bundle_path, device="cuda", cuda_graph=cuda_graph)
    gc.collect()
    assert (world.gpu.used(), world.gpu.streams, world.sessions) == (0, {}, 0)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_where_shapes_are_computed_nhwc_is_given_up_for_a_cuda_graph(bundle_path, run, world, cuda_graph, capsys):
    """Said aloud, and in what is read back; without a CUDA graph nothing is given up."""
    world.copied = True
    images = run.splits.test.images[:3]
    engine = zoo.load(bundle_path, device="cuda", cuda_graph=cuda_graph, selftest=False)
    expected = zoo.load(bundle_path)
    np.testing.assert_allclose(engine(images), expected(images), atol=1e-5)
    about = engine.describe()
    assert about["options"]["prefer_nhwc"] == str(int(not cuda_graph))
    assert about.get("shapes_on_cpu", "").startswith("Squeeze node_2") == cuda_graph
    assert ("without NHWC" in capsys.readouterr().err) == cuda_graph
    assert len(world.captured) == int(cuda_graph)


def test_an_option_is_read_back_without_nhwc_too(bundle_path, world):
    world.copied = True
    world.ignored.add("use_tf32")
    with pytest.raises(EnvironmentProblem, match="asked for use_tf32=0 and uses 1"):
        zoo.load(bundle_path, device="cuda", cuda_graph=True)
    assert (world.gpu.used(), world.gpu.streams, world.sessions) == (0, {}, 0)


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_missing_libraries_are_not_mistaken_for_nodes(bundle_path, world, cuda_graph):
    world.startless = True
    with pytest.raises(EnvironmentProblem, match=r"libraries were not found, which pip install 'distilzoo\[cuda\]'"):
        zoo.load(bundle_path, device="cuda", cuda_graph=cuda_graph)


def test_the_real_library_without_a_gpu_says_what_is_missing(bundle_path, monkeypatch):
    """CUDA is the fake one, ONNX Runtime is not: its provider cannot start here."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    gpu = Gpu()
    fake_tensorrt.install(fake_tensorrt.World(gpu, "11.4.0.106"), monkeypatch)
    with pytest.raises(EnvironmentProblem, match="onnxruntime cannot run"):
        zoo.load(bundle_path, device="cuda")
    assert gpu.streams == {}


def test_where_cuda_graphs_mean_nothing_they_are_refused(bundle_path):
    with pytest.raises(InputError, match="openvino does not replay a CUDA graph"):
        zoo.load(bundle_path, backend="openvino", cuda_graph=True)
    with pytest.raises(InputError, match="for device 'cuda'"):
        zoo.load(bundle_path, cuda_graph=True)
    with pytest.raises(InputError, match="no device 'gpu'"):
        zoo.load(bundle_path, device="gpu")
