"""The TensorRT plug-in of libzoo: it compiles without a warning, and runs on a TensorRT and a CUDA that are fakes.

`ZOO_TENSORRT_ROOT=DIR[:DIR...]` names folders whose include/ holds NvInfer.h of a published TensorRT; CUDA's headers
are looked for as CMake does. No GPU takes part: the fakes are built on the real headers, and compute on the host.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.libzoo import checked, tiny_bundle
from tests.support.places import ROOT
from zoo.bundle import sidecar
from zoo.bundle.sidecar import Named, Processor, Sidecar
from zoo.files import sha256

ROOTS = [Path(root) for root in os.environ.get("ZOO_TENSORRT_ROOT", "").split(":") if root]
FAKE = ROOT / "tests" / "support" / "fakes" / "tensorrt_fake"
CLASSES = ("Runtime", "CudaEngine", "ExecutionContext")
PLAN = "2 3 4 8 10 3"  # batches of 2 to 4 images of 8 x 10 pixels, 3 answers


def every_function(include: Path) -> str:
    """C++ classes that override each function of TensorRT's interfaces, and end the process when one is called."""
    header = (include / "NvInferImpl.h").read_text()
    lines = ["#include <NvInferRuntime.h>", "#include <cstdlib>", "using namespace nvinfer1;"]
    for name in CLASSES:
        body = re.search(rf"class V{name}\b[^;{{]*\{{(.*?)\n\}};", header, re.DOTALL)
        assert body is not None, name
        functions = re.findall(r"virtual\s+([^;]*?)\s*=\s*0\s*;", body.group(1), re.DOTALL)
        assert len(functions) > 20, name
        lines.append(f"struct Any{name} : apiv::V{name} {{")
        lines += [f"  {' '.join(function.split())} override {{ std::abort(); }}" for function in functions]
        lines.append("};")
    return "\n".join(lines) + "\n"


def headers(build: Path) -> tuple[Path, Path]:
    """The folders of TensorRT's and CUDA's headers that CMake found."""
    cache = (build / "CMakeCache.txt").read_text()
    found = dict(re.findall(r"^ZOO_(TENSORRT|CUDA)_INCLUDE:PATH=(.*)$", cache, re.MULTILINE))
    return Path(found["TENSORRT"]), Path(found["CUDA"])


@pytest.fixture(scope="module", params=ROOTS or [None], ids=lambda root: root.name if root else "none")
def plugin(request, library, tmp_path_factory):
    """Folder with the plug-in and the two fakes, for one TensorRT."""
    if request.param is None:
        pytest.skip("no TensorRT headers: ZOO_TENSORRT_ROOT names no folder with include/NvInfer.h")
    folder = tmp_path_factory.mktemp("tensorrt")
    settings = [f"-DZOO_TENSORRT_ROOT={request.param}", "-DCMAKE_CXX_FLAGS=-Werror", "-DZOO_BENCH=OFF"]
    said = checked("cmake", "-S", ROOT, "-B", folder, *settings).stdout
    if "no tensorrt backend" in said:
        pytest.skip(f"{request.param} has no include/NvInfer.h, or there are no CUDA headers")
    checked("cmake", "--build", folder, "--target", "zoo_backend_tensorrt")
    trt, cuda = headers(folder)
    (folder / "every.hpp").write_text(every_function(trt))
    compiler = ["c++", "-std=c++17", "-shared", "-fPIC", "-O1", "-w", "-isystem", trt, "-isystem", cuda, "-I", folder]
    checked(*compiler, FAKE / "cudart.cpp", "-o", folder / "libcudart.so")
    link = ["-L", folder, "-lcudart", f"-Wl,-rpath,{folder}"]
    checked(*compiler, FAKE / "nvinfer.cpp", *link, "-o", folder / "libnvinfer.so")
    return folder


def built_bundle(folder: Path, plugin: Path, **changes: object) -> Path:
    """A bundle whose engine is for the fakes."""
    numbers = (headers(plugin)[0] / "NvInferVersion.h").read_text()
    version = ".".join(re.findall(r"define TRT_\w+_ENTERPRISE (\d+)", numbers))
    images = np.random.default_rng(3).integers(0, 256, (5, 8, 10, 3), dtype=np.uint8)
    answers = images.mean(axis=(1, 2, 3))[:, None] / 64 + np.arange(3)
    bundle = tiny_bundle(folder / "tiny.zoo", "classification", (images, answers.astype(np.float32)))
    engine = bundle / "engines" / "tensorrt-fp32-fake"
    engine.mkdir(parents=True)
    plan, graph = engine / "engine.plan", bundle / "model.fp32.onnx"
    plan.write_text(PLAN)
    facts = {
        "schema": "zoo.engine/1",
        "backend": "tensorrt",
        "precision": "fp32",
        "device": "cuda",
        "graph": Named(name=graph.name, sha256=sha256(graph), bytes=graph.stat().st_size),
        "artefact": Named(name=plan.name, sha256=sha256(plan), bytes=plan.stat().st_size),
        "library": version,
        "processor": Processor(name="Fake GPU", kind="9.0", driver="13.0"),
        "batch": (2, 3, 4),
        "settings": {"flags": [], "hardware_compatibility": "NONE"},
        "proof": None,
        "selftest": None,
    }
    sidecar.write(engine, Sidecar.model_validate(facts | changes))
    return bundle


def run(built: Path, plugin: Path, bundle: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """zoo-native-bench on the plug-in: self-test (5 images in batches of 4), two threads, opening and closing."""
    fakes = {"ZOO_TENSORRT_LIBRARY": str(plugin / "libnvinfer.so"), "ZOO_CUDART_LIBRARY": str(plugin / "libcudart.so")}
    command = [built / "bin" / "zoo-native-bench", bundle, "--backend", "tensorrt", "--device", "cuda"]
    settings = fakes | {"ZOO_BACKEND_PATH": str(plugin / "lib")} | environment
    return subprocess.run(
        [*map(str, command), "--seconds", "0.02"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_plan_runs_in_batches_by_cuda_graphs_and_everything_is_freed(built, plugin, tmp_path):
    done = run(built, plugin, built_bundle(tmp_path, plugin))
    assert done.returncode == 0, done.stderr
    assert '"backend": "tensorrt"' in done.stdout
    assert "fake cuda: 0 alive, graphs were launched: 1" in done.stderr
    assert "fake tensorrt: 0 alive" in done.stderr


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"library": "10.0.0.1"}, "is stale: it was built by TensorRT 10.0.0.1"),
        ({"processor": Processor(name="Fake GPU", kind="8.9", driver="13.0")}, "is stale: it was built for Fake GPU"),
        ({"precision": "fp16"}, "no tensorrt engine of model.fp32.onnx for cuda is built: zoo build"),
        ({"artefact": Named(name="engine.plan", sha256="0" * 64, bytes=len(PLAN))}, "is not the file that was built"),
    ],
)
def test_a_plan_that_does_not_fit_never_reaches_tensorrt(built, plugin, tmp_path, changes, reason):
    done = run(built, plugin, built_bundle(tmp_path, plugin, **changes))
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
    assert "fake tensorrt: 0 alive" in done.stderr


def test_what_is_missing_is_named(built, plugin, tmp_path):
    bundle = built_bundle(tmp_path, plugin)
    assert "there is no GPU" in run(built, plugin, bundle, FAKE_NO_GPU="1").stderr
    assert "ZOO_TENSORRT_LIBRARY" in run(built, plugin, bundle, ZOO_TENSORRT_LIBRARY="").stderr
    (bundle / "engines" / "tensorrt-fp32-fake" / "engine.plan").write_text("not one number")
    assert "is not the file that was built" in run(built, plugin, bundle).stderr
