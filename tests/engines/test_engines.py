"""`zoo.load` and its engines: the same answers on every backend, and no silent anything."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import zoo
from tests.support.places import ROOT
from zoo.engines import RUNTIMES, Bundle, selftest
from zoo.errors import EnvironmentProblem, InputError
from zoo.models.eager import from_checkpoint


@pytest.mark.parametrize("backend", RUNTIMES)
def test_every_backend_gives_torch_answers(bundle_path, run, backend):
    images = run.splits.test.images
    expected = from_checkpoint(run.folder / "mobilenet_v2").logits(images)
    answers = zoo.load(bundle_path, backend=backend)(images)
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, atol=1e-4)


def test_any_batch_size_gives_the_same_answer(bundle_path, run):
    engine = zoo.load(bundle_path)
    images = run.splits.test.images[:7]
    np.testing.assert_allclose(np.concatenate([engine(image[None]) for image in images]), engine(images), atol=1e-5)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_threads_share_an_engine(bundle_path, run, backend):
    engine = zoo.load(bundle_path, backend=backend, threads=1)
    images = run.splits.test.images
    expected = engine(images)

    def ask(index: int) -> bool:
        return bool(np.allclose(engine(images[index % 24][None]), expected[index % 24], atol=1e-5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_predict_takes_what_apps_have(bundle_path, pictures):
    from PIL import Image

    engine = zoo.load(bundle_path)
    path = pictures / "cross" / "003.png"
    sources = (path, str(path), path.read_bytes(), Image.open(path), np.asarray(Image.open(path)))
    answers = [engine.predict(source) for source in sources]
    assert len({answer.label for answer in answers}) == 1
    np.testing.assert_allclose(answers[0].scores.sum(), 1, atol=1e-6)
    assert answers[0].top(2)[0] == (answers[0].label, answers[0].score)
    assert len({answer.score for answer in answers}) == 1


def test_an_app_sees_the_pixels_that_were_trained_on(bundle_path, run, pictures):
    """The label that `predict` gives for a file is the one that training computed for it."""
    engine, test = zoo.load(bundle_path), run.splits.test
    in_training = engine(test.images).argmax(1)
    for name, expected in zip(test.names, in_training, strict=True):
        assert engine.predict(pictures / name).label == engine.labels[expected]


def test_what_is_asked_for_is_what_runs(bundle_path):
    about = zoo.load(bundle_path, backend="openvino", precision="int8", threads=1).describe()
    assert (about["backend"], about["precision"], about["threads"]) == ("openvino", "int8", 1)
    assert about["inference_precision"] == "f32"  # everything that is not int8 in the graph
    about = zoo.load(bundle_path, precision="fp16", threads=2).describe()
    assert (about["provider"], about["threads"], about["precision"]) == ("CPUExecutionProvider", 2, "fp16")


def test_bf16_runs_in_bf16_or_is_refused(bundle_path):
    import openvino

    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        about = zoo.load(bundle_path, backend="openvino", precision="bf16").describe()
        assert (about["precision"], about["graph"], about["inference_precision"]) == ("bf16", "fp32", "bf16")
        return
    with pytest.raises(EnvironmentProblem, match="no bf16 arithmetic"):
        zoo.load(bundle_path, backend="openvino", precision="bf16")


def test_a_hint_that_openvino_does_not_follow_is_an_error(bundle_path, monkeypatch):
    """Without the question for the CPU's capability, what is read back has to tell."""
    import openvino

    from zoo.engines.openvino import HINTS

    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU has bf16 arithmetic")
    monkeypatch.setitem(HINTS, "bf16", ("bf16", "FP32"))
    with pytest.raises(EnvironmentProblem, match="openvino was asked for"):
        zoo.load(bundle_path, backend="openvino", precision="bf16")


def test_a_precision_of_another_backend_is_refused(bundle_path):
    with pytest.raises(InputError, match="onnxruntime does not execute in bf16; openvino and aotinductor can"):
        zoo.load(bundle_path, precision="bf16")


def test_a_device_that_is_not_there_is_an_error_and_not_a_fallback(bundle_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EnvironmentProblem, match=r"cuda|CUDA"):
        zoo.load(bundle_path, device="cuda")


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"backend": "onnx"}, "no backend called 'onnx'.*did you mean 'onnxruntime'"),
        ({"precision": "int4"}, "no int4 graph; it has: fp32, fp16, int8"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_what_does_not_exist_is_refused(bundle_path, asked, complaint):
    with pytest.raises(InputError, match=complaint):
        zoo.load(bundle_path, **asked)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 16, 16, 3), np.float32),
        np.zeros((16, 16, 3), np.uint8),
        np.zeros((1, 3, 16, 16), np.uint8),
        np.zeros((0, 16, 16, 3), np.uint8),
    ],
    ids=["float", "no batch", "channels first", "empty"],
)
def test_images_of_another_shape_or_type_are_refused(bundle_path, images):
    with pytest.raises(InputError, match=r"expected uint8 \[N, 16, 16, 3\]"):
        zoo.load(bundle_path)(images)


@pytest.fixture
def copy(bundle_path, tmp_path):
    return shutil.copytree(bundle_path, tmp_path / "copy.zoo")


def test_one_flipped_byte_in_any_file_is_found_and_named(copy):
    for path in sorted(copy.iterdir()):
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[len(whole) // 2] ^= 0x10
        path.write_bytes(bytes(broken))
        with pytest.raises(InputError) as caught:
            Bundle.open(copy).check_files()
        assert path.name in str(caught.value)
        path.write_bytes(whole)
    assert Bundle.open(copy).check_files() == 6


def test_a_damaged_graph_is_not_loaded(copy):
    graph = copy / "model.fp32.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"\0")
    with pytest.raises(InputError, match=r"model\.fp32\.onnx is damaged"):
        zoo.load(copy)
    graph.unlink()
    with pytest.raises(InputError, match=r"model\.fp32\.onnx is missing"):
        zoo.load(copy)


def edit(bundle, change):
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m.update(schema="zoo.bundle/9"), "schema 'zoo.bundle/9' is not known"),
        (lambda m: m.update(extra=1), "extra"),
        (lambda m: m["input"].update(layout="NCHW"), "input.layout"),
        (lambda m: m.pop("task"), "task"),
        (lambda m: m["files"].update({"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}), "outside the bundle"),
        (lambda m: m["graphs"]["fp32"].update(file="other.onnx"), "does not list other.onnx"),
    ],
    ids=["schema", "unknown key", "layout", "missing key", "traversal", "unlisted"],
)
def test_a_manifest_that_is_not_understood_is_refused(copy, change, complaint):
    edit(copy, change)

    def use() -> None:
        Bundle.open(copy).check_files()
        zoo.load(copy)

    with pytest.raises(InputError, match=complaint):
        use()


@pytest.mark.parametrize("backend", RUNTIMES)
def test_a_graph_with_another_signature_than_the_manifest_says_is_one_line(copy, backend):
    edit(copy, lambda manifest: manifest["input"].update(height=40, width=40, resize=40))
    engine = zoo.load(copy, backend=backend)
    with pytest.raises(EnvironmentProblem, match=r"cannot run the fp32 graph of .*\.zoo: .+"):
        engine(np.zeros((1, 40, 40, 3), np.uint8))


def test_a_graph_with_other_outputs_than_the_manifest_says_is_refused(copy):
    labels = json.dumps(["circle", "cross"]) + "\n"
    (copy / "labels.json").write_text(labels)
    entry = {"sha256": hashlib.sha256(labels.encode()).hexdigest(), "bytes": len(labels)}
    edit(copy, lambda manifest: (manifest["output"].update(size=2), manifest["files"].update({"labels.json": entry})))
    engine = zoo.load(copy)
    with pytest.raises(InputError, match=r"answers \[1, 3\], the manifest says \[1, 2\]"):
        engine(np.zeros((1, *engine.input_shape), np.uint8))


def test_not_a_bundle(tmp_path):
    with pytest.raises(InputError, match="no such bundle"):
        zoo.load(tmp_path / "x.zoo")
    with pytest.raises(InputError, match=r"it has no manifest\.json"):
        zoo.load(tmp_path)
    (tmp_path / "f.zoo").write_text("")
    with pytest.raises(InputError, match="a bundle is a folder"):
        zoo.load(tmp_path / "f.zoo")


@pytest.mark.parametrize("backend", RUNTIMES)
def test_the_selftest_passes_on_every_backend(bundle_path, backend):
    bundle = Bundle.open(bundle_path)
    if backend == "openvino":  # this CPU may have no fp16 arithmetic, which openvino then says
        bundle = Bundle(bundle.path, bundle.manifest.model_copy(update={"selftest": _without_fp16(bundle)}))
    outcomes = selftest.run(bundle, backend=backend)
    assert outcomes
    assert all(outcome.passed for outcome in outcomes), outcomes


def _without_fp16(bundle):
    test = bundle.manifest.selftest
    return test.model_copy(update={"tolerance": {p: t for p, t in test.tolerance.items() if p != "fp16"}})


def test_the_selftest_finds_another_network(copy, run):
    """Files may be consistent and the answers still wrong: a graph replaced together with its hash."""
    from export.packing.onnx import to_onnx
    from zoo.files import sha256
    from zoo.graphs.model import to_bytes
    from zoo.models import checkpoint

    other = checkpoint.load(run.folder / "vgg")[0]
    graph = copy / "model.fp32.onnx"
    graph.write_bytes(to_bytes(to_onnx(other, 16, 16, name="other")))
    entry = {"sha256": sha256(graph), "bytes": graph.stat().st_size}
    edit(copy, lambda manifest: manifest["files"].update({graph.name: entry}))
    passed = {outcome.precision: outcome.passed for outcome in selftest.run(Bundle.open(copy))}
    assert passed == {"fp32": False, "fp16": True, "int8": True}


APP = """
import sys
for heavy in ("torch", "lightning", "timm", "torchvision", "sklearn", "onnx", "openvino"):
    sys.modules[heavy] = None  # as if it were not installed
import zoo
assert zoo.load.__name__ == "load"
print(zoo.load(sys.argv[1]).predict(sys.argv[2]).label)
"""


def test_an_app_gets_no_files_in_its_home(bundle_path, pictures, tmp_path):
    """ONNX Runtime's wheel keeps usage events there, and sends them, unless it is told not to."""
    hidden = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, "-c", APP, str(bundle_path), str(pictures / "circle" / "000.png")]
    subprocess.run(command, cwd=ROOT, env=environment | {"HOME": str(tmp_path)}, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == []


def test_an_app_needs_no_torch(bundle_path, pictures):
    command = [sys.executable, "-c", APP, str(bundle_path), str(pictures / "circle" / "000.png")]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() in {"circle", "cross", "stripes"}
