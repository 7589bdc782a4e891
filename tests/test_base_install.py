"""The base package alone, in an environment of its own: what an app installs. `make test-slow`."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def test_an_app_runs_a_bundle_with_the_base_package_alone(bundle_path, pictures, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", ROOT]
    subprocess.run(install, check=True, cwd=tmp_path)
    code = "import zoo; print(zoo.load(r'{}').predict(r'{}').label)".format(bundle_path, pictures / "cross" / "000.png")
    answer = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() in {"circle", "cross", "stripes"}

    command = tmp_path / "venv" / "bin" / "zoo"
    assert subprocess.run([command, "verify", bundle_path], cwd=tmp_path, check=False).returncode == 0
    asked = subprocess.run([command, "train", "digits"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert asked.returncode == 4
    assert "pip install 'distilzoo[train]'" in asked.stderr
    asked = subprocess.run([command, "demo"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert asked.returncode == 4
    assert "pip install" in asked.stderr
