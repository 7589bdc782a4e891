"""CONTRIBUTING's worked example of a backend, installed as another package: it is built, loaded, measured and tuned by
its name, and takes three files.
"""

from __future__ import annotations

import re
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest

import zoo
from bench.suite.case_list import list_cases
from bench.suite.choices import Choices
from bench.tune.candidates import Kind, kinds
from tests.support.places import ROOT
from tests.support.plugins import install
from tests.support.tiny import SIDE, tiny_bundle
from zoo import engines
from zoo.bundle.sidecar import NotBuilt
from zoo.engines import registry
from zoo.errors import EnvironmentProblem, InputError

NAME = "onnx-reference"
MODULES = ("their_zoo", "their_zoo.backend", "their_zoo.build")


def example() -> dict[str, str]:
    """The files of the example, as CONTRIBUTING shows them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("## A backend, file by file")[2].partition("\n## ")[0]
    return dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", section, re.DOTALL))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "their_zoo").mkdir(parents=True)
    for name, content in example().items():
        if name.endswith(".py"):
            (site / name).write_text(content)
    project = tomllib.loads(example()["pyproject.toml"])["project"]
    install(site, "their-zoo", project["entry-points"])
    monkeypatch.syspath_prepend(str(site))
    yield
    for module in MODULES:
        sys.modules.pop(module, None)


@pytest.fixture
def bundle(tmp_path) -> Path:
    return tiny_bundle(tmp_path / "tiny.zoo")


def test_a_backend_takes_three_files() -> None:
    assert sorted(example()) == ["pyproject.toml", "their_zoo/backend.py", "their_zoo/build.py"]


def test_it_is_built_and_loaded_by_its_name(installed, bundle, zoo_command) -> None:
    assert NAME in engines.BACKENDS
    with pytest.raises(NotBuilt, match=f"no {NAME} engine of model.fp32.onnx for cpu is built: zoo build .* makes one"):
        zoo.load(bundle, backend=NAME)
    for word in ("built", "up to date"):
        shown = zoo_command("build", bundle, "--backend", NAME)
        assert shown.returncode == 0, shown.stderr
        assert f"{NAME} fp32 for any processor: {word}" in shown.stdout
    images = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    engine = zoo.load(bundle, backend=NAME)
    np.testing.assert_allclose(engine(images), zoo.load(bundle)(images), rtol=1e-5)
    assert engine.describe()["device"] == "cpu"  # the first of its devices
    assert zoo_command("verify", bundle, "--backend", NAME).returncode == 0


def test_it_is_in_every_table(installed, bundle, zoo_command) -> None:
    assert Kind(NAME, "fp32") in kinds(engines.Bundle.open(bundle), "cpu")[1]  # not built: zoo build makes one
    assert zoo_command("build", bundle, "--backend", NAME).returncode == 0
    assert Kind(NAME, "fp32") in kinds(engines.Bundle.open(bundle), "cpu")[0]
    (case,) = list_cases([bundle], [], Choices(backends=[NAME]))
    assert (case.backend, case.precision, case.device) == (NAME, "fp32", "cpu")
    with pytest.raises(InputError, match=f"{NAME} runs on cpu only, and cuda is asked for"):
        list_cases([bundle], [], Choices(backends=[NAME], devices=["cuda"]))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--precision", "fp16"], f"{NAME} builds fp32, not 'fp16'"),
        (["--device", "cuda"], f"{NAME} builds for cpu, not for device 'cuda'"),
        (["--checkpoint", "x"], f"--checkpoint means nothing for {NAME}"),
        (["--plan-ratio", "0"], f"--plan-ratio means nothing for {NAME}"),
    ],
)
def test_what_its_class_does_not_say_is_refused(installed, bundle, zoo_command, words, complaint) -> None:
    shown = zoo_command("build", bundle, "--backend", NAME, *words)
    assert shown.returncode == 2
    assert complaint in shown.stderr


def test_what_needs_no_build_is_not_built(bundle, zoo_command) -> None:
    shown = zoo_command("build", bundle, "--backend", "openvino")
    assert shown.returncode == 2
    assert "nothing to build for 'openvino'; there are: tensorrt, " in shown.stderr


def test_callers_of_a_backend_that_takes_one_wait_for_each_other(installed, bundle, zoo_command, monkeypatch) -> None:
    assert zoo_command("build", bundle, "--backend", NAME).returncode == 0
    kind = registry.backend_class(NAME)
    plain, inside, most = kind.run, threading.Semaphore(1), []

    def run(self, images):
        most.append(inside.acquire(blocking=False))  # False where another call is inside
        threading.Event().wait(0.005)
        inside.release()
        return plain(self, images)

    monkeypatch.setattr(kind, "run", run)
    engine = zoo.load(bundle, backend=NAME)
    images = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    callers = [threading.Thread(target=engine, args=(images,)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert most == [True] * 4


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("Mine = 3", "the backend 'mine' is 3, and no subclass of zoo.engines.backend.Backend"),
        (
            "from zoo.engines.backend import Backend\nclass Mine(Backend):\n    name, library = 'other', 'numpy'",
            "the backend 'mine' calls itself 'other'",
        ),
        ("import no_such_library", "'mine', which the package mine adds to distilzoo.backends, cannot be imported"),
    ],
)
def test_a_class_that_is_no_backend_is_one_line(tmp_path, monkeypatch, source, complaint) -> None:
    (tmp_path / "mine_backend.py").write_text(source)
    install(tmp_path, "mine", {registry.GROUP: {"mine": "mine_backend:Mine"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EnvironmentProblem, match=re.escape(complaint)):
        registry.backend_class("mine")
    sys.modules.pop("mine_backend", None)
