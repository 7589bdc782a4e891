"""A tuned choice lives as long as its own library; `zoo tune` names what could be had, and not what cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import zoo
from bench.tune.candidates import kinds
from tests.support.command import in_process, logged, one_line
from tests.support.tiny import tiny_bundle
from zoo.bundle import tuned
from zoo.engines import Bundle
from zoo.errors import InputError

QUICK = ("--passes", "1", "--time-limit", "0.02", "--threads", "1")


@pytest.fixture(scope="module")
def tuned_once(tmp_path_factory):
    """A bundle of which `zoo tune` has chosen an engine of onnxruntime, the one backend that it found."""
    folder = tmp_path_factory.mktemp("tuned")
    path = tiny_bundle(folder / "tiny.zoo", precisions=["int8"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr("bench.tune.candidates.installed", lambda backend: backend == "onnxruntime")
        done = in_process(["tune", str(path), *QUICK, "--json"], cwd=folder)
        assert done.returncode == 0, done.stderr
        yield path, json.loads(done.stdout)


@pytest.fixture
def tuned_here(tuned_once):
    """The same, with what was kept as it was at first."""
    path, _ = tuned_once
    file = tuned.STORE.place(tuned.key(Bundle.open(path)))
    kept = file.read_text()
    yield tuned_once
    file.write_text(kept)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    with logged("zoo") as found:
        yield found


def changed(path, **libraries: str | None) -> None:
    """What was kept is edited as if these libraries had been other ones then; None: not installed."""
    file = tuned.STORE.place(tuned.key(Bundle.open(path)))
    entry = json.loads(file.read_text())
    now = entry["libraries"] | {name.replace("_", "-"): version for name, version in libraries.items()}
    entry["libraries"] = {name: version for name, version in now.items() if version}
    file.write_text(json.dumps(entry))


def test_another_backend_that_is_gone_new_or_updated_leaves_the_choice(tuned_here, lines):
    path, found = tuned_here
    assert found["chosen"]["library"] == "onnxruntime"
    for changes in ({"tensorrt": "10.0"}, {"openvino": None}, {"torch": "1.0"}):
        changed(path, **changes)
        about = zoo.load(path).describe()
        assert (about["backend"], about["precision"]) == ("onnxruntime", "int8")
    assert lines == []
    changed(path, onnxruntime="1.0", onnxruntime_gpu=None)
    with pytest.raises(InputError, match="has no fp32 graph"):  # the default: no choice is left
        zoo.load(path)
    (line,) = lines
    assert "onnxruntime went from 1.0 to" in line


def test_a_choice_of_before_libraries_were_named_goes_by_its_backend(tuned_here):
    path, _ = tuned_here
    file = tuned.STORE.place(tuned.key(Bundle.open(path)))
    entry = json.loads(file.read_text())
    del entry["library"]
    file.write_text(json.dumps(entry))
    changed(path, openvino="1.0", tensorrt="10.0")
    assert zoo.load(path).precision == "int8"


def test_what_a_backend_cannot_have_here_is_not_listed(tmp_path, tuned_here):
    _, found = tuned_here
    assert found["ruled_out"] == {
        "openvino int8": "not installed",
        "onnxruntime-winograd int8": "not installed",
    }
    every = Bundle.open(tiny_bundle(tmp_path / "all.zoo", precisions=["fp32", "fp16", "int8", "int8s"]))

    def listed(device: str) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        possible, ruled_out = kinds(every, device)
        for kind in (*possible, *ruled_out):
            names.setdefault(kind.backend, []).append(kind.precision)
        return names

    assert listed("cpu") == {
        "onnxruntime": ["fp32", "fp16", "int8"],
        "openvino": ["fp32", "fp16", "int8", "bf16"],
        "aotinductor": ["fp32", "bf16"],
        "onnxruntime-winograd": ["int8"],
    }
    assert listed("cuda:1") == {
        "onnxruntime": ["fp32", "fp16", "int8"],
        "tensorrt": ["fp32", "fp16", "int8", "int8s"],
        "aotinductor": ["fp32", "fp16", "bf16"],
        "aotinductor-fused": ["fp16"],
    }


def test_a_device_that_no_backend_has_is_one_line(tmp_path, zoo_command):
    done = zoo_command("tune", tiny_bundle(tmp_path / "tiny.zoo"), "--device", "tpu")
    assert done.returncode == 2
    assert one_line(done.stderr) == "zoo: no device 'tpu'; write cpu, cuda, cuda:1 or cuda:GPU-<uuid>"
