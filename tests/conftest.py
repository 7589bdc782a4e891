"""Fixtures that several tests share: pictures on disk, a run trained on them, a bundle packed from it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.libzoo import built, installed, library, ops  # noqa: F401  fixtures
from tests.support.pictures import RECIPE, write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("pictures") / "shapes", each=40)


@pytest.fixture(scope="session")
def recipe_file(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "shapes.toml"
    path.write_text(RECIPE.format(path=pictures))
    return path


@pytest.fixture(scope="session")
def run(recipe_file: Path, tmp_path_factory: pytest.TempPathFactory):
    """A whole run: teacher, controls, students."""
    from zoo.learn.recipe.schema import load_recipe
    from zoo.learn.run.run import Run

    run = Run(load_recipe(str(recipe_file)), tmp_path_factory.mktemp("runs") / "shapes")
    for student in run.recipe.students:
        run.control(student)
        run.distilled(student)
    return run


@pytest.fixture(scope="session")
def bundle_path(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distilled MobileNetV2, packed at every precision."""
    from export.packing.sources.checkpoint import pack_checkpoint

    path = tmp_path_factory.mktemp("bundles") / "mobilenet_v2.zoo"
    pack_checkpoint(run.folder / "mobilenet_v2", path, splits=run.splits)
    return path


@pytest.fixture
def zoo_command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real `zoo` in an empty folder: `zoo_command("predict", ...)`."""

    def call(
        *words: object, cwd: Path = tmp_path, timeout: float = 300, **options: object
    ) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("zoo")), *map(str, words)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, **options)

    return call
