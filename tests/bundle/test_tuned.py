"""The cache of tuned choices: what `zoo.load` does with it, and that it can never break anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import zoo
from tests.support.command import logged
from tests.support.tiny import tiny_bundle
from zoo.bundle import tuned
from zoo.engines import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    with logged("zoo") as found:
        yield found


def choose(bundle: Path, **changes: object) -> Path:
    """Keep a choice that is not the default in anything."""
    facts = {
        "created": datetime.now(UTC),
        "aim": "throughput",
        "backend": "openvino",
        "precision": "int8",
        "device": "cpu",
        "threads": 1,
        "batch": 8,
        "p50_ms": 1.0,
        "images_per_second": 8000.0,
        "memory_bytes": 100,
        "metric": "top1",
        "accuracy": 1.0,
        "lost": 0.0,
        "evidence": "a test",
    }
    opened = Bundle.open(bundle)
    return tuned.keep(opened, tuned.new(opened, **facts | changes))


def runs(engine: zoo.Engine) -> tuple[str, str]:
    about = engine.describe()
    return about["backend"], about["precision"]


def test_load_takes_the_choice_when_nothing_is_asked_for(bundle, cache):
    assert runs(zoo.load(bundle)) == ("onnxruntime", "fp32")
    assert choose(bundle).is_relative_to(cache / "distilzoo")
    engine = zoo.load(bundle)
    assert runs(engine) == ("openvino", "int8")
    assert engine.describe()["threads"] == 1
    assert engine.batch == 8
    choose(bundle, aim="latency")
    assert zoo.load(bundle).batch is None


@pytest.mark.parametrize(
    "asked", [{"backend": "onnxruntime"}, {"precision": "fp32"}, {"threads": 1}, {"device": "cpu"}], ids=str
)
def test_whatever_is_asked_for_wins(bundle, asked):
    choose(bundle)
    assert runs(zoo.load(bundle, **asked)) == ("onnxruntime", "fp32")


def test_the_choice_belongs_to_the_content_and_not_to_the_path(bundle, tmp_path):
    choose(bundle)
    moved = Path(shutil.copytree(bundle, tmp_path / "elsewhere.zoo"))
    assert runs(zoo.load(moved)) == ("openvino", "int8")
    changed = tiny_bundle(tmp_path / "changed.zoo", name="another")
    assert runs(zoo.load(changed)) == ("onnxruntime", "fp32")


def test_forgotten_is_forgotten(bundle):
    choose(bundle)
    assert tuned.forget(Bundle.open(bundle))
    assert not tuned.forget(Bundle.open(bundle))
    assert runs(zoo.load(bundle)) == ("onnxruntime", "fp32")


def test_a_choice_made_with_another_library_is_ignored_with_a_line(bundle, lines):
    path = choose(bundle)
    entry = json.loads(path.read_text())
    entry["libraries"]["openvino"] = "1.0"
    path.write_text(json.dumps(entry))
    assert runs(zoo.load(bundle)) == ("onnxruntime", "fp32")
    (line,) = lines
    assert "openvino went from 1.0 to" in line


@pytest.mark.parametrize(
    "changes", [{"backend": "a_backend_of_yesterday"}, {"precision": "fp16"}, {"device": "tpu"}], ids=str
)
def test_a_choice_that_cannot_be_loaded_is_ignored_with_a_line(bundle, lines, changes):
    choose(bundle, **changes)
    assert runs(zoo.load(bundle)) == ("onnxruntime", "fp32")
    (line,) = lines
    assert "is ignored" in line


@pytest.mark.parametrize("content", ["", "{}", '{"schema": "zoo.tuned/9"}', "\0"])
def test_a_damaged_cache_is_ignored_with_a_line(bundle, lines, content):
    choose(bundle).write_text(content)
    assert runs(zoo.load(bundle)) == ("onnxruntime", "fp32")
    (line,) = lines
    assert "is ignored" in line


def test_a_cache_that_cannot_be_read_is_ignored_with_a_line(bundle, lines):
    path = choose(bundle)
    path.unlink()
    path.mkdir()
    assert runs(zoo.load(bundle)) == ("onnxruntime", "fp32")
    assert len(lines) == 1
