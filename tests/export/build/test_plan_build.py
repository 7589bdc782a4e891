"""`zoo build --backend tensorrt` and the engine that comes of it, on a fake TensorRT with the real one's surface.

Answers are real: a fake plan holds the graph and ONNX Runtime computes it. What a GPU would do is not shown here.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator

import numpy as np
import onnx
import pytest

import zoo
from export.build.tensorrt.build import build
from export.build.tensorrt.compiler import Options
from export.packing.sources.checkpoint import pack_checkpoint
from tests.support.fakes import fake_tensorrt
from tests.support.fakes.fake_cuda import Gpu
from tests.support.fakes.fake_tensorrt import World
from tests.support.fakes.tensorrt_surface import SURFACE
from tests.support.plans import engine_folder, load, replace_graph
from zoo.bundle import sidecar
from zoo.engines import Bundle
from zoo.errors import EnvironmentProblem, InputError, VerdictError

VERSIONS = tuple(SURFACE)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_built_plan_gives_the_graphs_answers(copy, run, monkeypatch, tmp_path, version):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    world = World(Gpu(), version)
    fake_tensorrt.install(world, monkeypatch)
    about, built = build(Bundle.open(copy), "fp16", Options((1, 4, 8)))
    assert (built, world.builds) == (True, 2)  # the fp32 plan is what the size is compared with
    assert about.proof["share"] == 1.0
    assert about.proof["plan_ratio"] <= 0.65
    assert about.settings["flags"] == []  # names, and TF32 is not among them
    assert (about.settings["tf32"], about.library, about.processor.kind) == (False, version, "9.0")
    engine = load(copy)
    images = run.splits.test.images[:19]
    np.testing.assert_allclose(engine(images), zoo.load(copy, precision="fp16")(images), atol=1e-5)
    np.testing.assert_allclose(engine(images[:1]), engine(images)[:1], atol=1e-5)
    assert engine.describe()["proof"] == about.proof


def test_what_is_there_is_not_built_again(copy, world):
    options = Options((1, 4, 8))
    assert build(Bundle.open(copy), "fp16", options)[1] is True
    assert build(Bundle.open(copy), "fp16", options)[1] is False
    assert build(Bundle.open(copy), "fp32", options)[1] is False
    assert world.builds == 2
    assert build(Bundle.open(copy), "fp32", Options((1, 2, 8)))[1] is True


def test_timings_are_kept_between_builds_by_gpu_and_version(copy, world, tmp_path, capsys):
    build(Bundle.open(copy), "fp32")
    build(Bundle.open(copy), "fp32", Options((1, 1, 1)))
    assert world.timings_seen == [b"", b"timed "]
    (kept,) = (tmp_path / "cache" / "distilzoo" / "tensorrt").glob("*.timing")
    assert kept.name == "nvidia-test-gpu-9.0-11.4.0.106.timing"
    assert kept.read_bytes() == b"timed timed "
    kept.write_bytes(b"of another GPU")
    build(Bundle.open(copy), "fp32", Options((2, 2, 2)))
    assert "timings do not fit" in capsys.readouterr().err
    assert kept.read_bytes() == b"timed "


def test_fp16_that_is_not_fp16_is_not_kept(copy, world):
    world.silent_fp32 = True
    with pytest.raises(VerdictError, match="fp16 plan is not kept: only 0 of"):
        build(Bundle.open(copy), "fp16")
    assert not engine_folder(copy).exists()


def test_a_plan_that_is_hardly_smaller_is_not_kept(copy, world):
    world.padding = 2_000_000
    with pytest.raises(VerdictError, match=r"of the fp32 plan's [\d,]+ \(at most 0\.65\)"):
        build(Bundle.open(copy), "fp16")
    about, _ = build(Bundle.open(copy), "fp16", plan_ratio=1.0)
    assert about.proof["plan_ratio_allowed"] == 1.0


def test_a_plan_with_other_answers_is_not_kept(copy, world):
    world.wrong = 5.0
    with pytest.raises(VerdictError, match="gives other logits in the self-test, by up to 5"):
        build(Bundle.open(copy), "fp32")
    assert [path for path in (copy / "engines").iterdir() if path.suffix != ".lock"] == []


def test_everything_that_the_parser_objects_to_is_listed(copy, world):
    world.refuse = {"operator Conv", "operator Gemm"}
    with pytest.raises(InputError, match="cannot read the graph") as caught:
        build(Bundle.open(copy), "fp32")
    assert str(caught.value).count("Conv ") > 1
    assert "Gemm " in str(caught.value)


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        ("Builder", "TensorRT cannot start here: CUDA initialization failure"),
        ("add_optimization_profile", "cannot take the profile"),
        ("get_timing_cache", "cannot give the timings back"),
        ("build_serialized_network", "cannot build the plan: Error Code 10"),
        ("deserialize_cuda_engine", "cannot load the plan that it has just built: Error Code 1"),
        ("create_execution_context", "cannot create an execution context"),
        ("set_input_shape", "cannot take the profile's best batch"),
        ("set_tensor_address", "cannot take the input's address"),
        ("execute_async_v3", "cannot run"),
    ],
)
def test_every_refusal_of_tensorrt_is_an_error(copy, world, method, complaint):
    world.refuse = {method}
    with pytest.raises(EnvironmentProblem, match=complaint):
        build(Bundle.open(copy), "fp32")
    assert not engine_folder(copy, "fp32").exists()
    gc.collect()
    assert world.gpu.used() == 0


def test_cuda_that_has_no_memory_is_an_error_and_frees_the_rest(copy, world):
    build(Bundle.open(copy), "fp32")
    world.gpu.fail = {"cudaMallocHost"}
    with pytest.raises(EnvironmentProblem, match="CUDA: out of memory"):
        load(copy, "fp32")
    gc.collect()
    assert world.gpu.used() == 0


def test_graphs_are_captured_once_for_each_batch_size(copy, run, world):
    build(Bundle.open(copy), "fp32", Options((2, 4, 8)))
    engine = load(copy, "fp32")
    images, before = run.splits.test.images, world.gpu.captures
    for count in (1, 2, 5, 1, 5, 2):  # 1 is filled up to 2, which the profile asks for
        assert len(engine(images[:count])) == count
    assert world.gpu.captures - before == 2
    np.testing.assert_allclose(engine(images[:1]), zoo.load(copy)(images[:1]), atol=1e-4)
    backend = engine.backend
    assert backend.compute_seconds(images[:4], 3) == [pytest.approx(1e-3)] * 3
    assert backend.compute_seconds(images[:4], 0) == []
    waiting = []
    streams = world.gpu.streams
    backend.compute_seconds(images[:4], 2, before=lambda: waiting.append([len(one.queue) for one in streams.values()]))
    assert waiting == [[0], [0]]  # nothing is under way when the cache is emptied


def test_everything_is_freed_in_the_right_order(copy, run, world):
    build(Bundle.open(copy), "fp32")
    engine = load(copy, "fp32")
    engine(run.splits.test.images[:3])
    world.gpu.log.clear()
    engine.backend.close()
    order = [name for index, name in enumerate(world.gpu.log) if name != (world.gpu.log[index - 1] if index else "")]
    assert order == ["graph", "context", "memory", "engine", "runtime", "stream"]
    assert world.gpu.used() == 0
    with pytest.raises(InputError, match="closed"):
        engine(run.splits.test.images[:1])


def test_threads_take_turns(copy, run, world):
    from concurrent.futures import ThreadPoolExecutor

    build(Bundle.open(copy), "fp32")
    engine, images = load(copy, "fp32"), run.splits.test.images
    expected = engine(images)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda index: engine(images[index % 24][None]), range(100)))
    assert all(np.allclose(answer, expected[index % 24], atol=1e-5) for index, answer in enumerate(answers))


def test_a_tampered_plan_is_not_loaded(copy, world, zoo_command):
    build(Bundle.open(copy), "fp16")
    plan = engine_folder(copy) / "engine.plan"
    whole = plan.read_bytes()
    plan.write_bytes(whole[:-1] + b"!")
    with pytest.raises(InputError, match=r"engine\.plan is not the file that was built.*zoo build makes it again"):
        load(copy)
    shown = zoo_command("verify", copy)
    assert shown.returncode == 2
    assert "engine.plan is not the file that was built" in shown.stderr
    assert build(Bundle.open(copy), "fp16")[1] is True  # and it does
    load(copy)
    shown = zoo_command("verify", copy)
    assert f"engines/{engine_folder(copy).name}: the file that was built" in shown.stdout
    (engine_folder(copy) / "sidecar.json").write_text("{}")
    with pytest.raises(sidecar.NotBuilt, match="schema None is not known"):
        load(copy)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda gpu: setattr(gpu, "name", "NVIDIA Other GPU"), "was built for NVIDIA Test GPU .* here is NVIDIA Other"),
        (lambda gpu: setattr(gpu, "capability", (8, 9)), r"compute capability 9\.0\), here is NVIDIA Test GPU \(8\.9"),
        (lambda gpu: setattr(gpu, "driver", 12080), r"driver for CUDA 13\.0, the one here is older: 12\.8"),
    ],
)
def test_a_plan_of_another_machine_is_not_loaded(copy, world, change, complaint):
    build(Bundle.open(copy), "fp32")
    change(world.gpu)
    with pytest.raises(EnvironmentProblem, match=complaint) as caught:
        load(copy, "fp32")
    assert "--backend tensorrt --precision fp32 makes one" in str(caught.value)


def test_a_stale_plan_gives_way_to_the_next_backend_with_a_line(copy, world, monkeypatch, caplog_lines):
    build(Bundle.open(copy), "fp32")
    world.gpu.name = "NVIDIA Other GPU"
    with pytest.raises(EnvironmentProblem):  # onnxruntime has no GPU here either: its reason is the last
        load(copy, "fp32", backend="tensorrt,onnxruntime")
    (line,) = caplog_lines
    assert line.startswith("tensorrt is skipped in favour of onnxruntime: ")
    assert "is stale: it was built for NVIDIA Test GPU" in line


@pytest.fixture
def caplog_lines() -> Iterator[list[str]]:
    import logging

    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logging.getLogger("zoo").addHandler(handler)
    yield lines
    logging.getLogger("zoo").removeHandler(handler)


def test_another_tensorrt_needs_another_plan_unless_it_is_version_compatible(copy, world, monkeypatch):
    older = World(world.gpu, "10.12.0.36")
    fake_tensorrt.install(older, monkeypatch)
    build(Bundle.open(copy), "fp32")
    assert build(Bundle.open(copy), "fp16", Options(version_compatible=True))[0].settings["flags"] == [
        "VERSION_COMPATIBLE"
    ]
    fake_tensorrt.install(world, monkeypatch)
    load(copy, "fp16")
    shutil.rmtree(engine_folder(copy, "fp16", "10.12.0.36"))
    build(Bundle.open(copy), "fp32", Options())
    shutil.rmtree(engine_folder(copy, "fp32", "10.12.0.36"))
    fake_tensorrt.install(older, monkeypatch)
    with pytest.raises(sidecar.NotBuilt, match=r"was built by TensorRT 11\.4\.0\.106, here is 10\.12\.0\.36"):
        load(copy, "fp32")


def test_a_hardware_compatible_plan_runs_on_other_gpus(copy, world):
    about, _ = build(Bundle.open(copy), "fp32", Options(hardware_compatible=True))
    assert about.settings["hardware_compatibility"] == "AMPERE_PLUS"
    world.gpu.name, world.gpu.capability = "NVIDIA Other GPU", (8, 6)
    load(copy, "fp32")
    world.gpu.capability = (7, 5)
    with pytest.raises(sidecar.NotBuilt, match=r"needs compute capability 8\.0"):
        load(copy, "fp32")


def test_a_plan_of_an_older_graph_is_stale(copy, world):
    build(Bundle.open(copy), "fp32")
    graph = copy / "model.fp32.onnx"
    replace_graph(copy, graph.name, graph.read_bytes() + b"\x72\x00")  # an empty metadata entry: the same network
    with pytest.raises(sidecar.NotBuilt, match=r"is stale: it was built from another model\.fp32\.onnx"):
        load(copy, "fp32")
    assert build(Bundle.open(copy), "fp32")[1] is True
    load(copy, "fp32")


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"device": "cpu"}, "runs on device 'cuda'"),
        ({"device": "cuda", "threads": 2}, "driven by 1 thread, not by 2"),
        ({"device": "cuda", "precision": "int8"}, "ask for precision 'int8s'"),
    ],
)
def test_what_a_gpu_cannot_do_is_refused(copy, world, asked, complaint):
    with pytest.raises(InputError, match=complaint):
        zoo.load(copy, backend="tensorrt", **asked)


def test_nothing_built_says_what_to_do(copy, world):
    with pytest.raises(sidecar.NotBuilt, match=r"no tensorrt engine of model\.fp16\.onnx for cuda is built: zoo build"):
        load(copy)


@pytest.mark.parametrize("version", ["10.9.0.34", "12.0.0.1"])
def test_a_tensorrt_that_is_not_known_is_refused(copy, world, version):
    import sys

    sys.modules["tensorrt"].__version__ = version
    with pytest.raises(EnvironmentProblem, match=r"install >= 10\.12, < 12"):
        build(Bundle.open(copy), "fp32")


def test_a_graph_that_strong_typing_refuses_is_refused_before_the_build(copy, world):
    model = onnx.load(copy / "model.fp16.onnx")
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    wide = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight).astype(np.float32), weight.name)
    weight.CopyFrom(wide)
    replace_graph(copy, "model.fp16.onnx", model.SerializeToString())
    with pytest.raises(InputError, match=r"TensorRT would refuse model\.fp16\.onnx: "):
        build(Bundle.open(copy), "fp16")


def test_int8_is_the_graph_with_signed_activations(copy, run, world, tmp_path):
    with pytest.raises(InputError, match="has no int8s graph; it has: fp32, fp16, int8"):
        build(Bundle.open(copy), "int8")
    path = tmp_path / "vgg.zoo"
    pack_checkpoint(run.folder / "vgg", path, splits=run.splits, precisions=["fp32", "int8s"])
    about, _ = build(Bundle.open(path), "int8")
    assert (about.precision, about.graph.name, about.proof["kind"]) == ("int8s", "model.int8s.onnx", "int8")
    assert about.proof["share"] >= 0.95 * Bundle.open(path).manifest.graphs["int8s"].low_precision_share
    images = run.splits.test.images
    engine = load(path, "int8s")
    np.testing.assert_allclose(engine(images), zoo.load(path, precision="int8s")(images), atol=1e-5)
