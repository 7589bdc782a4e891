"""libzoo built and installed once for a test session, where there is what that needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from zoo.files import locked
from zoo.preprocess import compiled
from zoo.preprocess.libzoo import runtimes

ROOT = Path(__file__).parents[2]
# One program that includes the two libraries' headers and links: whether they are there is what the compiler says.
PROBE = "#include <cstdio>\n#include <jpeglib.h>\n#include <png.h>\nint main() { return jpeg_std_error(0) == 0; }\n"


@cache
def missing() -> str:
    """What building libzoo lacks here, or nothing."""
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            return f"no {tool}"
    probe = ["c++", "-x", "c++", "-", "-fsyntax-only"]
    if subprocess.run(probe, input=PROBE, text=True, capture_output=True, check=False).returncode:
        return "no libjpeg-turbo or libpng headers (Debian: libjpeg62-turbo-dev libpng-dev)"
    return ""


def checked(*command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command that has to work; its output is the failure's text if it does not."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done


def build(folder: Path, *settings: str) -> Path:
    """Configure and build the native part in `folder`; returns it."""
    openvino = find_spec("openvino")
    if openvino is not None and openvino.origin is not None:
        settings += (f"-DOpenVINO_DIR={Path(openvino.origin).parent / 'cmake'}",)
    checked("cmake", "-S", ROOT, "-B", folder, "-DZOO_TESTS=ON", *settings)
    checked("cmake", "--build", folder, "--parallel", os.cpu_count() or 1)
    return folder


def runtime() -> dict[str, str]:
    """The environment in which libzoo's plug-ins find the runtimes of this Python."""
    return runtimes() | os.environ


def python(*words: object, **environment: str) -> str:
    """What this Python prints, in a process of its own with more in its environment."""
    return checked(sys.executable, *words, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment).stdout


def tiny_bundle(folder: Path, task: str, vectors: tuple[Any, Any] | None = None) -> Path:
    """A bundle whose graph is one matrix product, without any training.

    `vectors`: other images uint8 [N, 8, 10, 3] and answers for the self-test than the graph's.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from safetensors.numpy import save_file

    from zoo.bundle.manifest import FileEntry, Graph, Input, Manifest, Output, SelfTest
    from zoo.files import sha256

    random = np.random.default_rng(6)
    labels = ["left eye", "nose", "mouth"]
    size = 2 * len(labels) if task == "keypoints" else len(labels)
    output = "points" if task == "keypoints" else "logits"
    weight = random.normal(0, 2e-4, (8 * 10 * 3, size)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["float"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weight"], [output]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 10, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", size])],
        [numpy_helper.from_array(weight, "weight")],
    )
    folder.mkdir()
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.fp32.onnx"
    )
    (folder / "labels.json").write_text(json.dumps(labels))
    inputs = random.integers(0, 256, (3, 8, 10, 3), dtype=np.uint8)
    answers = (inputs.reshape(3, -1).astype(np.float32) @ weight).astype(np.float32)
    inputs, answers = vectors or (inputs, answers)
    save_file({"image": inputs, "fp32": answers}, folder / "selftest.safetensors")
    facts = Graph(file="model.fp32.onnx", opset=17, nodes=3, casts=1, weighted=1, low_precision_share=1.0)
    files = {path.name: FileEntry(sha256=sha256(path), bytes=path.stat().st_size) for path in folder.iterdir()}
    manifest = Manifest.model_validate(
        {
            "schema": "zoo.bundle/1",
            "name": "tiny",
            "task": task,
            "input": Input(height=8, width=10, resize=12),
            "output": Output(name=output, size=size),
            "labels": "labels.json",
            "graphs": {"fp32": facts},
            "parity": {},
            "accuracy": {"metric": "x", "split": "test", "images": 3, "torch": 1.0, "graphs": {"fp32": 1.0}},
            "selftest": SelfTest(file="selftest.safetensors", images=len(inputs), tolerance={"fp32": 1e-3}),
            "cost": {"parameters": 1, "buffers": 0, "macs": 1},
            "provenance": {},
            "files": files,
        }
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder. It is that of all processes that run tests at once: one builds, the others find it built."""
    if reason := missing():
        pytest.skip(f"libzoo is not built here: {reason}")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    # `make native` may have built it already; what has not changed is not built again.
    there = ROOT / "build" / "native"
    with locked(shared / "native.lock", waiting=lambda: None):
        return build(there if there.is_dir() else shared / "native")


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed prefix that was moved after it was installed."""
    first = tmp_path_factory.mktemp("prefix") / "first"
    checked("cmake", "--install", built, "--prefix", first)
    return first.rename(first.with_name("moved"))


@pytest.fixture(scope="session")
def library(built: Path) -> Path:
    """The shared library."""
    return built / "lib" / "libzoo.so.1"


@pytest.fixture(scope="session")
def ops(built: Path) -> Path:
    """The library of operators for ONNX Runtime."""
    return built / "lib" / "libzoo_ops.so"


@pytest.fixture(params=["Pillow", "libzoo"])
def decoder(request, monkeypatch):
    """Both decoders in turn."""
    if request.param == "Pillow":
        monkeypatch.setattr(compiled, "library", lambda: None)
    else:
        monkeypatch.setenv("ZOO_LIBRARY", str(request.getfixturevalue("library")))
        compiled.library.cache_clear()
    yield
    if request.param == "libzoo":
        compiled.library.cache_clear()
