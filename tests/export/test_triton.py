"""Triton model repositories, read back by the messages that Triton itself is compiled from."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path

import onnxruntime
import pytest
from google.protobuf import text_format

from export.triton import Serving, write
from tests.support.command import one_line
from tests.support.places import ROOT
from tests.support.tiny import tiny_bundle
from tests.support.world import add_plan
from zoo.engines import Bundle
from zoo.errors import InputError

GOLDEN = ROOT / "tests" / "export" / "triton"
TASKS = ("classification", "tagging", "keypoints")


def _model_config():
    """The module of model_config.proto in the tritonclient wheel, without the client: that needs gRPC."""
    package = importlib.util.find_spec("tritonclient")
    path = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # compiled by the protobuf before ours, which is allowed
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def proto():
    return _model_config()


def parsed(proto, folder: Path):
    return text_format.Parse((folder / "config.pbtxt").read_text(encoding="utf-8"), proto.ModelConfig())


@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_served_as_its_golden_file_says(task, proto, tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny.zoo", task=task))
    served = write(bundle, tmp_path / "repository", Serving())
    graph = bundle.manifest.files["model.fp32.onnx"].sha256  # another version of onnx may write other bytes
    text = (served.folder / "config.pbtxt").read_text().replace(graph, "SHA256")
    assert text == (GOLDEN / f"{task}.pbtxt").read_text()
    assert (served.folder / "labels.txt").read_text() == (GOLDEN / f"{task}.labels.txt").read_text()

    config = parsed(proto, served.folder)
    assert config.name == served.folder.name
    assert len((served.folder / "labels.txt").read_text().splitlines()) == config.output[0].dims[0]
    # What ONNX Runtime says of the file that is served, first dimension apart, is what the configuration says.
    session = onnxruntime.InferenceSession(served.file, providers=["CPUExecutionProvider"])
    for given, said in zip(session.get_inputs() + session.get_outputs(), [*config.input, *config.output], strict=True):
        assert (given.name, given.shape[1:]) == (said.name, list(said.dims))
    assert proto.DataType.Name(config.input[0].data_type) == "TYPE_UINT8"
    assert session.get_inputs()[0].type == "tensor(uint8)"


def test_a_trained_bundle_is_served_by_the_command(zoo_command, bundle_path, proto, tmp_path):
    words = ["--precision", "int8", "--max-batch", "8", "--instances", "2", "--queue-delay", "500"]
    shown = zoo_command("triton", bundle_path, "-o", "models", *words)
    assert shown.returncode == 0, shown.stderr
    folder = tmp_path / "models" / "mobilenet_v2"
    assert str(Path("models", "mobilenet_v2", "1", "model.onnx")) in shown.stdout
    assert (folder / "1" / "model.onnx").read_bytes() == (bundle_path / "model.int8.onnx").read_bytes()
    config = parsed(proto, folder)
    assert config.max_batch_size == 8
    assert config.instance_group[0].count == 2
    assert config.instance_group[0].kind == proto.ModelInstanceGroup.KIND_CPU
    assert config.dynamic_batching.max_queue_delay_microseconds == 500
    assert [warm.batch_size for warm in config.model_warmup] == [1, 8]
    assert (folder / config.output[0].label_filename).read_text().split() == ["circle", "cross", "stripes"]


def test_a_plan_is_served_where_one_is_built_of_this_graph(proto, tmp_path):
    path = tiny_bundle(tmp_path / "tiny.zoo")
    bundle, cuda = Bundle.open(path), Serving(device="cuda")
    assert write(bundle, tmp_path / "repository", cuda).file.name == "model.onnx"

    first = add_plan(path, "tensorrt-fp32-h200")
    served = write(bundle, tmp_path / "repository", cuda)
    config = parsed(proto, served.folder)
    assert [file.name for file in (served.folder / "1").iterdir()] == ["model.plan"]
    assert config.platform == "tensorrt_plan"
    assert config.max_batch_size == served.max_batch == 16  # what the plan was built for
    assert config.instance_group[0].kind == proto.ModelInstanceGroup.KIND_GPU

    add_plan(path, "tensorrt-fp32-l4", batch=(1, 1, 1))
    with pytest.raises(InputError, match="several plans of its fp32 graph: --engine"):
        write(bundle, tmp_path / "repository", cuda)
    assert write(bundle, tmp_path / "repository", Serving(device="cuda", engine="tensorrt-fp32-l4")).max_batch == 1

    (first / "engine.plan").write_bytes(b"another plan")
    with pytest.raises(InputError, match="is not the file that was built"):
        write(bundle, tmp_path / "repository", Serving(device="cuda", engine=first.name))
    sidecar = json.loads((first / "sidecar.json").read_text())
    sidecar["graph"]["sha256"] = "0" * 64
    (first / "sidecar.json").write_text(json.dumps(sidecar))
    assert write(bundle, tmp_path / "repository", cuda).plan.key == "tensorrt-fp32-l4"  # the other one is stale


def test_names_that_text_format_and_lines_could_mind(proto, tmp_path):
    labels = ["two\nlines", 'a "quote"', "Käse 🧀"]
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny.zoo", name='my "tiny" Käse', labels=labels))
    served = write(bundle, tmp_path / "repository", Serving())
    assert parsed(proto, served.folder).name == served.folder.name == 'my "tiny" Käse'
    lines = (served.folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["two lines", 'a "quote"', "Käse 🧀"]


@pytest.mark.parametrize(
    ("serving", "complaint"),
    [
        (Serving(precision="fp16"), "has no fp16 graph; there are: fp32, int8"),
        (Serving(device="gpu"), "no device 'gpu'"),
        (Serving(device="cuda", precision="int8"), "int8 is for CPUs"),
        (Serving(max_batch=4096), "takes at most 1024 images at once, not 4096"),
        (Serving(engine="tensorrt-fp32"), "--device cuda"),
        (Serving(device="cuda", engine="tensorrt-fp32"), "no TensorRT plan 'tensorrt-fp32'"),
    ],
)
def test_what_cannot_be_served_is_one_line(serving, complaint, tmp_path):
    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny.zoo"))
    with pytest.raises(InputError, match=complaint):
        write(bundle, tmp_path / "repository", serving)
    assert not (tmp_path / "repository").exists()


def test_nothing_of_somebody_else_is_replaced(zoo_command, tmp_path):
    tiny_bundle(tmp_path / "tiny.zoo")
    mine = tmp_path / "repository" / "tiny" / "thesis.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("all of it")
    shown = zoo_command("triton", "tiny.zoo", "-o", "repository")
    assert shown.returncode == 2
    assert "is no Triton model" in one_line(shown.stderr)
    (mine.parent / "config.pbtxt").write_text("")
    (mine.parent / "2").mkdir()
    shown = zoo_command("triton", "tiny.zoo", "-o", "repository")
    assert "holds 2, thesis.txt as well" in one_line(shown.stderr)
    assert mine.read_text() == "all of it"
