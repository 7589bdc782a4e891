"""Small real parts that several tests share: pictures on disk, a run trained on them, a bundle packed from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from libzoo import built, installed, library, ops  # noqa: F401  fixtures
from PIL import Image

ROOT = Path(__file__).parent.parent
CLASSES = ("circle", "cross", "stripes")

RECIPE = """
name = "shapes"
seed = 3

[data]
source = "folder"
path = "{path}"
size = 16
resize = 18
labelled = 0.5
pad = 1
flip = true

[train]
epochs = 4
batch = 16
lr = 0.05

[teacher]
model = "vgg"
knobs = {{ depth = 8, width = 0.25 }}

[teacher.train]
epochs = 4
batch = 16
lr = 0.05

[[students]]
name = "vgg"
model = "vgg"
knobs = {{ depth = 8, width = 0.125 }}

[[students]]
name = "mobilenet_v2"
model = "mobilenet_v2"
knobs = {{ width = 0.25 }}
"""


def picture(label: str, random: np.random.Generator, size: int = 24) -> Image.Image:
    """A noisy shape in random colours, at a random place."""
    rows, columns = np.mgrid[:size, :size] - size / 2 + random.uniform(-3, 3, (2, 1, 1))
    shape = {
        "circle": np.hypot(rows, columns) < size / 4,
        "cross": (abs(rows) < size / 10) | (abs(columns) < size / 10),
        "stripes": np.sin(rows * 1.5) > 0,
    }[label]
    dark, light = random.uniform(0, 80, 3), random.uniform(160, 255, 3)
    pixels = np.where(shape[..., None], light, dark) + random.normal(0, 12, (size, size, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_pictures(folder: Path, each: int, seed: int = 0) -> Path:
    """DIR/CLASS/NNN.png, `each` of every class."""
    random = np.random.default_rng(seed)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(each):
            picture(label, random).save(folder / label / f"{number:03d}.png")
    return folder


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
    from zoo.learn.recipe import load_recipe
    from zoo.learn.run import Run

    run = Run(load_recipe(str(recipe_file)), tmp_path_factory.mktemp("runs") / "shapes")
    for student in run.recipe.students:
        run.control(student)
        run.distilled(student)
    return run


@pytest.fixture(scope="session")
def bundle_path(run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distilled MobileNetV2, packed at every precision."""
    from export.checkpoint import pack_checkpoint

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


def one_line(stderr: str) -> str:
    """The only line on stderr; more than one, or a traceback, fails the test."""
    lines = [line for line in stderr.splitlines() if line.startswith("zoo: ")]
    assert "Traceback" not in stderr, stderr
    assert len(lines) == 1, stderr
    return lines[0]


def real_data(name: str) -> Path:
    """The archive NAME.tar.xz of ZOO_DATA; the test is skipped where there is none."""
    archive = Path(os.environ.get("ZOO_DATA", "/nonexistent")) / f"{name}.tar.xz"
    if not archive.is_file():
        pytest.skip(f"ZOO_DATA does not name a folder with {archive.name}")
    return archive
