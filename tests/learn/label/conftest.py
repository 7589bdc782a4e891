"""A service to ask, and `zoo label` asking it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fakes.vision_service import KEY, Service, environment, write_recipe


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def label(zoo_command, service: Service, tmp_path: Path):
    """`label("side=32", ...)`: run `zoo label` on the folder `photos` with these settings."""

    def call(*settings: str, words: tuple[object, ...] = (), key: str | None = KEY):
        write_recipe(tmp_path, service)
        pairs = [word for setting in settings for word in ("--set", f"label.{setting}")]
        return zoo_command("label", "recipe.toml", "--out", "out", *pairs, *words, env=environment(key))

    return call
