"""CONTRIBUTING's worked examples of a student, a loss and a task: added as they stand there, trained, and counted.

The example of a backend is tested in `tests/engines/test_add_backend.py`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from tests.support.places import ROOT
from tests.support.plugins import install
from zoo.errors import InputError
from zoo.learn.losses.registry import bind
from zoo.learn.recipe.schema import load_recipe
from zoo.learn.run.run import Run
from zoo.models import build, checkpoint


def example(heading: str) -> dict[str, str]:
    """The files of an example, as CONTRIBUTING shows them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"## {heading}, file by file")[2].partition("\n## ")[0]
    return dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", section, re.DOTALL))


@pytest.fixture
def added(tmp_path, monkeypatch):
    """`added("A student")`: install the package of an example."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))
    modules = []

    def add(heading: str) -> None:
        files = example(heading)
        for name, content in files.items():
            if name.endswith(".py"):
                (site / name).parent.mkdir(parents=True, exist_ok=True)
                (site / name).write_text(content)
                modules.extend([name.partition("/")[0], name.removesuffix(".py").replace("/", ".")])
        install(site, modules[-2].replace("_", "-"), tomllib.loads(files["pyproject.toml"])["project"]["entry-points"])

    yield add
    for module in modules:
        sys.modules.pop(module, None)


@pytest.mark.parametrize(("heading", "most"), [("A student", 2), ("A loss", 2), ("A task", 3), ("A backend", 3)])
def test_to_add_one_takes_few_files(heading, most):
    assert 0 < len(example(heading)) <= most


def test_a_student_of_another_package_is_trained(added, recipe_file, tmp_path):
    added("A student")
    assert build("plain", classes=5, size=32, width=0.5)(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
    with pytest.raises(InputError, match="plain: width should be greater than 0"):
        build("plain", classes=5, size=32, width=-1.0)
    settings = ["students.vgg.model=plain", "students.vgg.knobs={width=0.5}", "train.epochs=2"]
    made = Run(load_recipe(str(recipe_file), settings), tmp_path / "run")
    network, about = checkpoint.load(made.control(made.recipe.students[0]))
    assert (about.network.model, about.network.knobs) == ("plain", {"width": 0.5})
    assert network(torch.zeros(1, 16, 16, 3, dtype=torch.uint8)).shape == (1, 3)


def test_a_loss_of_another_package_distils(added, run, recipe_file, tmp_path):
    added("A loss")
    student, teacher = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 1.0]])
    assert bind("squared_logits", {"scale": 2.0})(student, teacher, torch.tensor([0])).item() == pytest.approx(5.0)
    settings = [f"teacher.model=run:{run.folder / 'teacher'}", 'distill.loss="squared_logits"', "train.epochs=2"]
    made = Run(load_recipe(str(recipe_file), settings), tmp_path / "run")
    _, about = checkpoint.load(made.distilled(made.recipe.students[0]))
    assert about.metrics["top1"] > 0
    with pytest.raises(InputError, match="squared_logits has no parameter 'temperature'; it has: scale"):
        bind("squared_logits", {"temperature": 2.0})


def test_a_task_is_trained_packed_and_asked(pictures, tmp_path):
    """In a copy of the package with the example's files in it, by the commands that a user has."""
    for room in ("zoo", "export", "bench"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "_libzoo"))
    files = example("A task")
    registry = tmp_path / "zoo/tasks/registry.py"
    line, table = files.pop("zoo/tasks/registry.py").strip().split("\n\n")
    text = re.sub(r"(?m)^TASKS: .*$", table, registry.read_text())
    registry.write_text(text.replace("from zoo.tasks.keypoints", f"{line}\nfrom zoo.tasks.keypoints"))
    for name, content in files.items():
        (tmp_path / name).write_text(content)

    def command(*words: object) -> str:
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "zoo", *map(str, words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    recipe = Path("grades.toml")
    (tmp_path / recipe).write_text(
        f"""
name = "grades"
task = "grading"
[data]
source = "folder"
path = "{pictures}"
size = 16
pad = 1
[train]
epochs = 4
batch = 16
[[students]]
name = "vgg"
model = "vgg"
knobs = {{ depth = 8, width = 0.125 }}
"""
    )
    (row,) = json.loads(command("train", recipe, "--json"))["networks"]
    assert row["grades_off"] < 2 / 3  # what guessing the middle grade gives, of three
    command("export", "runs/grades/vgg-control", "-o", "grades.zoo", "--precision", "fp32", "--max-drop", "1")
    (found,) = json.loads(command("predict", "grades.zoo", pictures / "cross" / "000.png", "--json"))["results"]
    assert abs(sum(entry["score"] for entry in found["top"]) - 1) < 1e-5
