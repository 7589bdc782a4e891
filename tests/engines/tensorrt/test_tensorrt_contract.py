"""Every TensorRT and CUDA name, enum member and argument that the project uses exists, in 10.12, 10.16 and 11.4.

Always against `surface.json`, which was read from the real bindings; and against the real bindings 10.16 and 11.4
themselves, imported over stub libraries, where a folder with `stub.c` is named by ZOO_TENSORRT_API or stands beside
ZOO_DATA, and pip and a C compiler work.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.fakes import fake_cuda
from tests.support.fakes.fake_tensorrt import SURFACE
from tests.support.places import ROOT
from zoo.files import cache_folder

FILES = [
    ROOT / name
    for name in (
        "zoo/engines/tensorrt/plan.py",
        "zoo/engines/tensorrt/backend.py",
        "export/build/tensorrt/compiler.py",
        "export/build/tensorrt/monitor.py",
    )
]
# What the variables of those files hold.
HOLDS = {
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "failure": "ParserError",
    "config": "IBuilderConfig",
    "cache": "ITimingCache",
    "profile": "IOptimizationProfile",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
}
REAL = ("10.16.1.11", "11.4.0.106")


def dotted(node: ast.AST) -> list[str]:
    """`self._trt.BuilderFlag.TF32` as ["trt", "BuilderFlag", "TF32"]; empty for anything but names with dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return []
    parts = [node.id, *parts]
    parts = parts[1:] if parts[0] == "self" else parts
    return [part if part.startswith("__") else part.lstrip("_") for part in parts]


def uses() -> tuple[set[tuple[str, ...]], list[tuple[str, str, int, tuple[str, ...]]], set[str]]:
    """(names below `trt`), (class, method, number of arguments, their keywords), (names below `cudart`)."""
    names, calls, cuda = set(), [], set()
    for path in [*FILES, ROOT / "zoo" / "engines" / "cuda.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            parts = dotted(node)
            if len(parts) > 1 and parts[0] == "trt":
                names.add(tuple(parts[1:]))
            elif len(parts) > 1 and parts[0] == "cudart":
                cuda.add(parts[1])
            elif len(parts) == 2 and parts[0] in HOLDS:
                names.add((HOLDS[parts[0]], parts[1]))
            if isinstance(node, ast.Call):
                called = dotted(node.func)
                count = len(node.args) + len(node.keywords)
                starred = any(isinstance(argument, ast.Starred) for argument in node.args)
                keywords = tuple(str(keyword.arg) for keyword in node.keywords)
                if len(called) == 2 and called[0] in HOLDS:
                    calls.append((HOLDS[called[0]], called[1], -1 if starred else count, keywords))
                elif len(called) == 2 and called[0] == "trt":
                    calls.append((called[1], "__init__", count, keywords))
    return names, calls, cuda


def test_the_search_finds_what_is_there():
    names, calls, cuda = uses()
    assert {("BuilderFlag", "TF32"), ("IExecutionContext", "execute_async_v3"), ("ILogger", "ERROR")} <= names
    assert ("IBuilderConfig", "set_timing_cache", 2, ("ignore_mismatch",)) in calls
    assert "cudaGraphInstantiate" in cuda


def check(surface: dict) -> None:
    names, calls, _ = uses()
    for name, *rest in sorted(names):
        if name == "__version__":
            continue
        assert name in surface["classes"] or name in surface["enums"], f"TensorRT has no {name}"
        for member in rest[:1]:
            known = surface["enums"].get(name) or surface["classes"][name]
            assert member in known or member == "__members__", f"TensorRT has no {name}.{member}"
    for name, method, count, keywords in calls:
        overloads = signatures(surface["classes"][name][method])
        fits = [known for known in overloads if count <= len(known) and set(keywords) <= set(known)]
        assert fits or not overloads, f"{name}.{method} takes {overloads}, not {count} arguments {keywords}"


def signatures(text: str) -> list[list[str]]:
    """Names of the parameters of every overload that a docstring of pybind11 states."""
    found = re.findall(r"\(self: [\w.]+(?:, )?(.*?)\) ->", text)
    return [re.findall(r"(\w+): ", parameters) for parameters in found]


@pytest.mark.parametrize("version", SURFACE)
def test_the_recorded_surface_has_everything(version):
    check(SURFACE[version])


def test_cuda_has_everything():
    real = pytest.importorskip("cuda.bindings.runtime")
    fake = fake_cuda.make(fake_cuda.Gpu())
    for name in uses()[2]:
        assert hasattr(real, name), f"CUDA has no {name}"
        assert hasattr(fake, name)
    assert hasattr(real.cudaMemcpyKind, "cudaMemcpyHostToDevice")
    assert hasattr(real.cudaMemcpyKind, "cudaMemcpyDeviceToHost")
    assert hasattr(real.cudaStreamCaptureMode, "cudaStreamCaptureModeThreadLocal")


PROBE = """
import inspect, json, sys
import tensorrt_bindings as trt
surface = {"version": trt.__version__, "classes": {}, "enums": {}}
for name, value in vars(trt).items():
    if inspect.isclass(value):
        if hasattr(value, "__members__"):
            surface["enums"][name] = {member: int(number) for member, number in value.__members__.items()}
        else:
            members = [member for member in dir(value) if not member.startswith("__") or member == "__init__"]
            surface["classes"][name] = {member: getattr(value, member).__doc__ or "" for member in members}
json.dump(surface, sys.stdout)
"""


def api_folder() -> Path | None:
    named = os.environ.get("ZOO_TENSORRT_API")
    data = os.environ.get("ZOO_DATA")
    places = [Path(named)] if named else [Path(data).parent / "tensorrt_api"] if data else []
    return next((place for place in places if (place / "stub.c").is_file()), None)


@cache
def bindings(version: str) -> dict[str, str]:
    """The environment in which `import tensorrt_bindings` works without TensorRT. Skips where it cannot be made."""
    api = api_folder()
    if api is None:
        pytest.skip("no folder with stub.c: name one by ZOO_TENSORRT_API, or beside ZOO_DATA")
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for the stub libraries")
    folder, major = cache_folder() / "tests" / f"tensorrt-{version}", version.split(".")[0]
    if not (folder / "tensorrt_bindings").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        made = subprocess.run([*pip, f"tensorrt_cu13_bindings=={version}"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"pip cannot install the bindings: {made.stderr.strip().splitlines()[-1]}")
    for library in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):
        name = f"lib{library}.so.{major}"
        command = ["cc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{name}", "-o", folder / name, api / "stub.c"]
        subprocess.run(command, check=True)
    return {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def run_with(version: str, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=bindings(version), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version", REAL)
def test_the_real_bindings_have_everything(version):
    surface = json.loads(run_with(version, PROBE))
    assert surface["version"] == version
    check(surface)
    for name, members in SURFACE[version]["enums"].items():  # and the recorded surface is the real one
        assert surface["enums"][name] == members
    for name, members in SURFACE[version]["classes"].items():
        assert set(members) <= set(surface["classes"][name])


LOGGING = """
import logging, sys
import tensorrt_bindings as trt
from zoo.engines.tensorrt.backend import logger
from export.build.tensorrt.monitor import monitor
from export.build.tensorrt.compiler import Compiler, Options
from zoo.bundle.manifest import Input
from zoo.errors import EnvironmentProblem
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s")
log = logger(trt)
log.log(trt.ILogger.WARNING, "careful")
log.log(trt.ILogger.Severity.ERROR, "broken")
moved = []
watch = monitor(trt, moved.append)
watch.phase_start("Building", None, 2)
assert watch.step_complete("Building", 0) is True
watch.cancelled = True
assert watch.step_complete("Building", 1) is False
watch.phase_finish("Building")
print(sum(moved) > 0, log.last)
try:
    Compiler(trt, log, Input(height=8, width=8, resize=8)).compile(b"", Options(), b"", moved.append)
except EnvironmentProblem as problem:
    print(problem)
"""


@pytest.mark.parametrize("version", REAL)
def test_logger_and_monitor_work_on_the_real_base_classes(version):
    shown = run_with(version, LOGGING).splitlines()
    assert shown[:2] == ["zoo.tensorrt WARNING careful", "zoo.tensorrt ERROR broken"]
    assert shown[2] == "True broken"
    assert shown[3].startswith("TensorRT cannot start here: broken")
