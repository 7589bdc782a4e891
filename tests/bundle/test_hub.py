"""Pushing and pulling, by the hub's real library against a small hub on loopback."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.support.command import one_line
from tests.support.fakes.hub import TOKEN, Hub, running
from tests.support.tiny import tiny_bundle
from tests.support.world import add_plan
from zoo.bundle.hub import pull, push
from zoo.engines import Bundle
from zoo.errors import EnvironmentProblem, InputError


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that this process's library talks to, with the right token."""
    with running() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"  # made of the former when imported
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return Bundle.open(tiny_bundle(tmp_path / "tiny.zoo"))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_bundle_goes_to_the_hub_and_comes_back(zoo_process, bundle, tmp_path):
    add_plan(bundle.path, "tensorrt-fp32-h200")
    with running(large=(".onnx", ".safetensors")) as hub:
        settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}
        env = {**os.environ, **settings, "HF_TOKEN": TOKEN}
        pushed = zoo_process("push", "tiny.zoo", "me/tiny", env=env)
        assert pushed.returncode == 0, pushed.stderr
        assert pushed.stdout.strip() == f"{hub.address}/me/tiny/commit/{hub.sha('me/tiny')}"
        assert hub.created[0]["visibility"] == "private"
        assert hub.commits["me/tiny"] == ["tiny, packed by distilzoo"]  # one, so that nobody pulls half a bundle
        assert set(hub.objects.values()) >= {(bundle.path / "model.int8.onnx").read_bytes()}  # through LFS
        pulled = zoo_process("pull", "me/tiny", "-o", "back.zoo", env=env)
        assert pulled.returncode == 0, pulled.stderr
    back = tmp_path / "back.zoo"
    assert sorted(path.name for path in back.iterdir()) == sorted({*bundle.manifest.files, "manifest.json"})
    assert content(back) == content(bundle.path)  # and no engine: it was built for another machine
    for shown in (pushed, pulled):
        assert TOKEN not in shown.stdout + shown.stderr
        assert "Warning" not in shown.stderr


def test_what_an_older_push_left_is_gone(hub, bundle, tmp_path):
    push(bundle, "me/tiny", public=True)
    assert hub.created[0].get("visibility") == "public"
    hub.files["me/tiny"]["notes.txt"] = b"mine"
    shutil.rmtree(tmp_path / "tiny.zoo")
    push(Bundle.open(tiny_bundle(tmp_path / "tiny.zoo", precisions=["fp32"])), "me/tiny", message="only fp32")
    assert hub.commits["me/tiny"] == ["tiny, packed by distilzoo", "only fp32"]
    assert "model.int8.onnx" not in hub.files["me/tiny"]
    assert hub.files["me/tiny"]["notes.txt"] == b"mine"
    assert not (pull("me/tiny", tmp_path / "back.zoo").path / "notes.txt").exists()


def test_a_file_that_was_changed_on_the_hub_never_appears_here(hub, bundle, tmp_path):
    push(bundle, "me/tiny")
    pull("me/tiny", tmp_path / "old.zoo")
    before = content(tmp_path / "old.zoo")
    graph = bytearray(hub.files["me/tiny"]["model.fp32.onnx"])
    graph[-1] ^= 1
    hub.files["me/tiny"]["model.fp32.onnx"] = bytes(graph)
    hub.commits["me/tiny"].append("tampered")
    for name in ("old.zoo", "new.zoo"):
        with pytest.raises(InputError, match=r"^me/tiny: model.fp32.onnx is damaged"):
            pull("me/tiny", tmp_path / name)
    assert content(tmp_path / "old.zoo") == before
    assert sorted(path.name for path in tmp_path.glob("*.zoo*")) == ["old.zoo", "tiny.zoo"]


def test_a_manifest_cannot_write_outside_the_bundle(hub, bundle, tmp_path):
    push(bundle, "me/tiny")
    manifest = json.loads(hub.files["me/tiny"]["manifest.json"])
    manifest["files"]["../outside.txt"] = {"sha256": "0" * 64, "bytes": 4}
    hub.files["me/tiny"] |= {"manifest.json": json.dumps(manifest).encode(), "../outside.txt": b"evil"}
    hub.commits["me/tiny"].append("evil")
    with pytest.raises(InputError, match=r"\.\./outside\.txt points outside"):
        pull("me/tiny", tmp_path / "back.zoo")
    assert not (tmp_path / "outside.txt").exists()


def test_what_the_hub_refuses_is_one_line(hub, bundle, tmp_path, monkeypatch):
    out = tmp_path / "back.zoo"
    with pytest.raises(InputError, match=r"no me/other on .*HF_TOKEN"):
        pull("me/other", out)
    with pytest.raises(InputError, match="is no repository's name"):
        pull("me//tiny", out)
    hub.files["me/text"], hub.commits["me/text"] = {"README.md": b"text"}, []
    with pytest.raises(InputError, match=r"me/text is no bundle: it has no manifest\.json"):
        pull("me/text", out)
    with pytest.raises(InputError, match="no such revision"):
        pull("me/text", out, revision="v2")
    (tmp_path / "thesis.zoo").mkdir()
    with pytest.raises(InputError, match="is no bundle: it is not replaced"):
        pull("me/text", tmp_path / "thesis.zoo")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match=r"refuses me/tiny \(401\)") as refused:
        push(bundle, "me/tiny")
    assert "hf_wrong" not in str(refused.value)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(EnvironmentProblem, match=r"cannot reach http://127\.0\.0\.1:9"):
        pull("me/tiny", out)
    assert not out.exists()


def test_a_damaged_bundle_stays_here(zoo_process, bundle):
    (bundle.path / "labels.json").write_text("[]")
    shown = zoo_process("push", bundle.path, "me/tiny")
    assert shown.returncode == 2
    assert "labels.json has 2 bytes" in one_line(shown.stderr)
