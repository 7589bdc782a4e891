"""Fixtures that several tests share: pictures on disk, a run trained on them, a bundle packed from it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import in_process
from tests.support.libzoo import built, decoder, installed, library, ops  # noqa: F401  fixtures
from tests.support.pictures import RECIPE, write_pictures
from zoo.files import locked


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the tests' engines are remembered by is no part of the user's cache. Weights of libraries stay there."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in (("HF_HOME", "huggingface"), ("TORCH_HOME", "torch")):
            patch.setenv(name, os.environ.get(name) or str(usual / folder))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`shared(NAME, make)`: a folder that `make(folder)` fills once for all processes that run tests beside each other.
    Nobody changes what is in it.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], object]) -> Path:
        folder, made = base / "shared" / name, base / "shared" / f"{name}.made"
        with locked(base / "shared" / f"{name}.lock", waiting=lambda: None):
            if not made.exists():
                folder.mkdir(parents=True, exist_ok=True)
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def pictures(shared) -> Path:
    return shared("pictures", lambda folder: write_pictures(folder / "shapes", each=40)) / "shapes"


@pytest.fixture(scope="session")
def recipe_file(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "shapes.toml"
    path.write_text(RECIPE.format(path=pictures))
    return path


@pytest.fixture(scope="session")
def run(recipe_file: Path, shared):
    """A whole run: teacher, controls, students. Trained once; other processes read what the first one wrote."""
    from zoo.learn.recipe.schema import load_recipe
    from zoo.learn.run.run import Run

    opened: list[Run] = []

    def whole(folder: Path) -> None:
        run = Run(load_recipe(str(recipe_file)), folder / "shapes")
        for student in run.recipe.students:
            run.control(student)
            run.distilled(student)
        opened.append(run)

    folder = shared("run", whole) / "shapes"
    return opened[0] if opened else Run(load_recipe(str(recipe_file)), folder, resume=True)


@pytest.fixture(scope="session")
def bundle_path(run, shared) -> Path:
    """The distilled MobileNetV2, packed at every precision."""
    from export.packing.sources.checkpoint import pack_checkpoint

    def packed(folder: Path) -> None:
        pack_checkpoint(run.folder / "mobilenet_v2", folder / "mobilenet_v2.zoo", splits=run.splits)

    return shared("bundle", packed) / "mobilenet_v2.zoo"


@pytest.fixture
def zoo_process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real `zoo` in an empty folder, as a process of its own: `zoo_process("predict", ...)`."""

    def call(
        *words: object, cwd: Path = tmp_path, timeout: float = 300, **options: object
    ) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("zoo")), *map(str, words)]
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, **options)

    return call


@pytest.fixture
def zoo_command(
    tmp_path: Path, zoo_process: Callable[..., subprocess.CompletedProcess[str]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `zoo` in an empty folder: `zoo_command("predict", ...)`. In this process, but with options of a process."""

    def call(
        *words: object, cwd: Path = tmp_path, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        if options:
            return zoo_process(*words, cwd=cwd, env=env, **options)
        return in_process([str(word) for word in words], cwd=cwd, env=env)

    return call
