"""libzoo built and installed once for a test session, where there is what that needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
    libraries = {"ZOO_ONNXRUNTIME_LIBRARY": ("onnxruntime", "capi/libonnxruntime.so.*")}
    libraries["ZOO_OPENVINO_LIBRARY"] = ("openvino", "libs/libopenvino_c.so.*")
    found = dict(os.environ)
    for variable, (package, pattern) in libraries.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            found[variable] = str(next(Path(spec.origin).parent.glob(pattern)))
    return found


def python(*words: object, **environment: str) -> str:
    """What this Python prints, in a process of its own with more in its environment."""
    return checked(sys.executable, *words, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment).stdout


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder."""
    if reason := missing():
        pytest.skip(f"libzoo is not built here: {reason}")
    # `make native` may have built it already; what has not changed is not built again.
    there = ROOT / "build" / "native"
    return build(there if there.is_dir() else tmp_path_factory.mktemp("native"))


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
