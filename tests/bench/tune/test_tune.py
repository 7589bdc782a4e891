"""`zoo tune`: what it measures, what it rules out and why, and what `zoo.load` then does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.main import get_command

import zoo
from bench.tune.candidates import Kind, Requirements
from bench.tune.cli import app
from bench.tune.judge import Entry, Standing, best, front
from tests.support.tiny import colour_folder, tiny_bundle
from zoo.errors import InputError, VerdictError

command = get_command(app)
QUICK = ("--passes", 1, "--time-limit", "0.02", "--threads", 1)


def zoo_tune(*words: object) -> None:
    command([str(word) for word in words], standalone_mode=False)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "distilzoo" / "tuned"


def test_the_fastest_is_kept_shown_used_and_forgotten(tmp_path, cache, capsys):
    bundle = tiny_bundle(tmp_path / "a bündle.zoo")
    with pytest.raises(InputError, match="was not tuned"):
        zoo_tune(bundle, "--show")
    zoo_tune(bundle, *QUICK, "--passes", 2, "--json")
    found = json.loads(capsys.readouterr().out)
    engines = {(one["backend"], one["precision"]) for one in found["measured"]}
    assert engines == {
        (backend, precision) for backend in ("onnxruntime", "openvino") for precision in ("fp32", "int8")
    }
    assert all(one["memory_bytes"] > 10e6 and one["p50_ms"] > 0 and one["lost"] == 0 for one in found["measured"])
    fastest = min(found["measured"], key=lambda one: one["p50_ms"])
    chosen = found["chosen"]
    assert (chosen["backend"], chosen["precision"]) == (fastest["backend"], fastest["precision"])
    assert found["front"][0] == fastest
    # This CPU has bf16 arithmetic, and then nothing is known of its accuracy, or it has none.
    assert any(reason in found["ruled_out"]["openvino bf16"] for reason in ("no record", "no bf16 arithmetic"))

    about = zoo.load(bundle).describe()
    assert (about["backend"], about["precision"]) == (chosen["backend"], chosen["precision"])
    zoo_tune(bundle, "--show")
    assert f"{chosen['backend']} {chosen['precision']}, 1 thread, batch 1: " in capsys.readouterr().out
    zoo_tune(bundle, "--forget")
    assert list(cache.iterdir()) == []


def test_a_graph_that_answers_otherwise_than_the_bundle_says_is_ruled_out(tmp_path, capsys):
    bundle = tiny_bundle(tmp_path / "tiny.zoo", wrong=["int8"])
    zoo_tune(bundle, *QUICK)
    printed = capsys.readouterr().out
    assert "onnxruntime int8: its logits for the self-test are off by" in printed
    assert zoo.load(bundle).precision == "fp32"


def test_accuracy_is_measured_on_labelled_images_and_held_to_the_drop(tmp_path, capsys):
    bundle = tiny_bundle(tmp_path / "tiny.zoo", wrong=["int8"])
    images = colour_folder(tmp_path / "test")
    zoo_tune(bundle, *QUICK, "--evaluate", images, "--for", "throughput", "--batch", "2,4", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["ruled_out"]["onnxruntime int8"] == "loses 66.67 %, 0.5 is allowed"
    assert {one["batch"] for one in found["measured"]} == {2, 4}
    assert found["chosen"]["accuracy"] == 1.0
    assert found["chosen"]["images_per_second"] == max(one["images_per_second"] for one in found["measured"])
    assert zoo.load(bundle).batch == found["chosen"]["batch"]


def test_when_nothing_fits_nothing_is_kept_and_the_verdict_is_bad(tmp_path, cache, capsys):
    bundle = tiny_bundle(tmp_path / "tiny.zoo", precisions=["fp32"])
    with pytest.raises(VerdictError, match=r"no engine loses at most 0\.5 % in 1 MB; nothing was kept") as caught:
        zoo_tune(bundle, *QUICK, "--max-memory", 1)
    assert caught.value.exit_code == 1
    assert "MB of memory, 1 are allowed" in capsys.readouterr().out
    assert not cache.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--for", "speed"], "there are latency and throughput"),
        (["--batch", "x"], "--batch x: write numbers"),
        (["--threads", "0"], "--threads 0: write numbers"),
        (["--max-memory", "0"], "must be more than 0"),
        (["--show", "--forget"], "exclude each other"),
        (["--evaluate", "nowhere"], "no such folder of labelled images"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(tmp_path, words, reason):
    with pytest.raises(InputError, match=reason):
        zoo_tune(tiny_bundle(tmp_path / "tiny.zoo"), *words)


def test_the_front_holds_what_is_faster_or_more_accurate_or_smaller():
    def entry(name, p50, lost, memory, why=None):
        standing = Standing(1 - lost / 100, lost)
        return Entry(Kind(name, "fp32"), 1, 1, p50, 1000 / p50, True, memory, standing, why)

    requirements = Requirements()
    fast, exact, small = entry("fast", 1, 0.4, 50), entry("exact", 2, 0.0, 60), entry("small", 3, 0.4, 10)
    beaten, out = entry("beaten", 2.5, 0.0, 60), entry("out", 0.5, 0.0, 5, why="too much")
    entries = [small, beaten, exact, out, fast]
    assert best(entries, requirements) is fast
    assert front(entries, requirements) == [fast, exact, small]
    assert best([out], requirements) is None
