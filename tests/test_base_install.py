"""The base package alone, in an environment of its own: what an app installs. `make test-slow`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.support.libzoo import checked, missing
from tests.support.places import ROOT

pytestmark = pytest.mark.slow


def test_an_app_runs_a_bundle_with_the_base_package_alone(bundle_path, pictures, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", ROOT]
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(install, check=True, cwd=tmp_path, env=alone)
    code = "import zoo; print(zoo.load(r'{}').predict(r'{}').label)".format(bundle_path, pictures / "cross" / "000.png")
    answer = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=alone)
    assert answer.stdout.strip() in {"circle", "cross", "stripes"}

    command = tmp_path / "venv" / "bin" / "zoo"
    assert subprocess.run([command, "verify", bundle_path], cwd=tmp_path, check=False, env=alone).returncode == 0
    for asked, hint in (["train", "digits"], "pip install 'distilzoo[train]'"), (["demo"], "pip install"):
        done = subprocess.run([command, *asked], cwd=tmp_path, capture_output=True, text=True, check=False, env=alone)
        assert done.returncode == 4
        assert hint in done.stderr

    # Where it can be built the library came with it, in a place that CMake is led to.
    asked = [python, "-m", "zoo", "--cmake-dir"]
    found = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False, env=alone)
    assert found.returncode == (4 if missing() else 0), found.stderr
    if not missing():
        source = shutil.copytree(ROOT / "examples", tmp_path / "examples")
        checked("cmake", "-S", source, "-B", tmp_path / "build", f"-Dzoo_DIR={found.stdout.strip()}")
        checked("cmake", "--build", tmp_path / "build")
        said = checked(tmp_path / "build" / "classify_c", bundle_path, pictures / "cross" / "000.png", env=alone).stdout
        assert said.partition(": ")[2].startswith(answer.stdout.strip())


def wheel(folder, **environment):
    """The wheel that pip builds with this PATH, and what was said meanwhile."""
    folder.mkdir()
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-cache-dir", "-v", "-w", folder, ROOT]
    said = checked(*command, env=os.environ | environment).stderr
    (built,) = folder.glob("*.whl")
    return built, said


def test_without_a_compiler_there_is_a_wheel_of_python_alone(tmp_path):
    """And one line that says what was missing."""
    empty = tmp_path / "empty"
    empty.mkdir()
    built, said = wheel(tmp_path / "nothing", PATH=str(empty))
    assert built.name.endswith("-py3-none-any.whl")
    assert "a wheel without libzoo, Python does its work: there is no cmake" in said
    with pytest.raises(AssertionError, match="libzoo cannot be built, and ZOO_BUILD_LIBRARY=1 asks for it"):
        wheel(tmp_path / "wanted", PATH=str(empty), ZOO_BUILD_LIBRARY="1")
    assert not [name for name in zipfile.ZipFile(built).namelist() if "_libzoo" in name]
    if cmake := shutil.which("cmake"):
        (empty / "cmake").symlink_to(cmake)
        built, said = wheel(tmp_path / "cmake", PATH=str(empty))
        assert built.name.endswith("-py3-none-any.whl")
        assert "a wheel without libzoo, Python does its work: configuring failed" in said
