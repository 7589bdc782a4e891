"""A bundle to build into, and a machine with a fake GPU and a fake TensorRT."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fakes import fake_tensorrt
from tests.support.fakes.fake_cuda import Gpu
from tests.support.fakes.fake_tensorrt import World


@pytest.fixture
def copy(bundle_path, tmp_path) -> Path:
    return shutil.copytree(bundle_path, tmp_path / "a model ü.zoo")


@pytest.fixture
def world(monkeypatch, tmp_path) -> Iterator[World]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    world = World(Gpu(), "11.4.0.106")
    fake_tensorrt.install(world, monkeypatch)
    return world
