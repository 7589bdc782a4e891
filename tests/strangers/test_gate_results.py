"""Results whose benchmarks were renamed, removed or added: every output names them, and nothing passes without them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from bench.gate.config import GateConfig
from bench.gate.receipt import read_receipt
from bench.gate.run import run
from bench.gate.runners import one_sided, open_runners
from bench.history.history import data, history, read_folder
from bench.page.gate import section
from bench.results import Row
from tests.support.command import one_line
from tests.support.gates import NEAR, edited
from tests.support.rows import results, row
from tests.support.tiny import GRAPH, tiny_bundle

GONE = "small onnxruntime int8, 2 threads batch 1 call"
RENAMED = "tiny onnxruntime int8, 2 threads batch 1 call"


def written(path: Path, *models: str) -> Path:
    """Five results files; `net` in fp32 is in each, and `models` in int8."""
    path.mkdir()
    for place, ms in enumerate(NEAR):
        rows: list[Row] = [row("net", "student", "onnxruntime fp32", ms)]
        rows += [row(name, "student", "onnxruntime int8", ms) for name in models]
        found = results(*rows)
        moved = found.model_copy(update={"created": found.created + timedelta(minutes=place)})
        moved.write(path / f"{place:02d}.json")
    return path


@pytest.fixture
def renamed(tmp_path: Path) -> list[object]:
    """The words that judge results in which `small` is called `tiny` now, and `other` is new."""
    before, after = written(tmp_path / "before", "small"), written(tmp_path / "after", "tiny", "other")
    return ["bench", "gate", "--baseline", before, "--candidate", after]


def test_a_renamed_benchmark_is_named_in_every_output_and_does_not_pass(renamed, tmp_path, zoo_command):
    files = {"markdown": "g.md", "junit": "g.xml", "sarif": "g.sarif"}
    words = [part for kind, name in files.items() for part in (f"--{kind}", tmp_path / name)]
    done = zoo_command(*renamed, *words, "--annotate")
    assert done.returncode == 3
    said = f"{GONE}: missing in the candidate (renamed to {RENAMED}?)"
    assert one_line(done.stderr) == f"zoo: INCONCLUSIVE: {said}; --allow-missing NAME says that this is meant"
    for text in (done.stdout, *((tmp_path / name).read_text() for name in files.values())):
        assert said in text
        assert "other onnxruntime int8" in text
    assert f"::warning file={tmp_path}/after,title=gate%3A missing::{said}" in done.stdout
    (run,) = json.loads((tmp_path / "g.sarif").read_text())["runs"]
    assert [(each["ruleId"], each["level"]) for each in run["results"]] == [
        ("missing", "warning"),
        ("new", "note"),
        ("new", "note"),
    ]
    receipt = read_receipt(tmp_path / "gate.json")
    assert [(each.name, each.renamed, each.allowed) for each in receipt.missing] == [(GONE, RENAMED, False)]
    assert receipt.appeared == [RENAMED, "other onnxruntime int8, 2 threads batch 1 call"]
    page = section(receipt, receipt.host.fingerprint)
    assert said in page.notes
    assert [cells[:3] for cells in page.numbers.rows[-3:]] == [
        [GONE, "–", "missing"],
        *([name, "–", "new"] for name in receipt.appeared),
    ]
    as_json = json.loads(zoo_command(*renamed, "--json").stdout)
    assert (as_json["verdict"], as_json["missing"][0]["name"]) == ("inconclusive", GONE)
    again = zoo_command("bench", "gate", "--read", tmp_path / "gate.json")
    assert (again.returncode, said in again.stdout) == (3, True)


@pytest.mark.parametrize("allowed", [GONE, "small *"])
def test_what_is_allowed_to_be_missing_passes_and_is_still_named(renamed, zoo_command, allowed):
    done = zoo_command(*renamed, "--allow-missing", "something else", "--allow-missing", allowed)
    assert done.returncode == 0, done.stderr
    assert f"{GONE}: missing in the candidate" in done.stdout
    assert "as --allow-missing says" in done.stdout


def test_another_benchmark_that_fails_is_what_the_verdict_says(tmp_path, zoo_command):
    before = written(tmp_path / "before", "small")
    after = tmp_path / "after"
    after.mkdir()
    for place, ms in enumerate(NEAR):
        results(row("net", "student", "onnxruntime fp32", 1.5 * ms)).write(after / f"{place}.json")
    done = zoo_command("bench", "gate", "--baseline", before, "--candidate", after)
    assert done.returncode == 1
    assert f"{GONE}: missing in the candidate" in done.stdout


def test_nothing_in_common_says_what_there_is(tmp_path, zoo_command):
    for name in ("small", "tiny"):
        results(row(name, "student", "onnxruntime int8", 1.0)).write(tmp_path / f"{name}.json")
    done = zoo_command("bench", "gate", "--baseline", "small.json", "--candidate", "tiny.json")
    assert (done.returncode, GONE in one_line(done.stderr), RENAMED in one_line(done.stderr)) == (2, True, True)


def test_a_bundle_that_lost_a_precision_does_not_pass(tmp_path):
    before, after = tiny_bundle(tmp_path / "a.zoo"), tiny_bundle(tmp_path / "b.zoo", precisions=["fp32"])
    config = GateConfig(sentinel=False)
    found = run(before, after, config, pairs=1)
    said = "onnxruntime int8 batch 1: missing in the candidate"
    assert (found.verdict, found.reason) == (
        "inconclusive",
        f"{said}; --allow-missing NAME says that this is meant",
    )
    both = open_runners(before, after, config)
    assert [each.allowed for each in one_sided(*both, config, "", ["*int8*"])[0]] == [True]
    assert one_sided(*both, config, "*fp32*", [])[0] == []
    assert one_sided(*both[::-1], config, "", []) == ([], ["onnxruntime int8 batch 1"])


def test_compare_and_history_say_what_is_missing_and_new(tmp_path, zoo_command):
    before, after = written(tmp_path / "before", "small"), written(tmp_path / "after", "tiny", "other")
    done = zoo_command("bench", "compare", before / "00.json", after / "00.json")
    assert done.returncode == 0
    (gone,) = (line for line in done.stdout.splitlines() if line.startswith("small"))
    assert gone.endswith(f"missing in the second file (renamed to {RENAMED}?)")
    assert "new: not in the first file" in done.stdout
    rows = json.loads(zoo_command("bench", "compare", before / "00.json", after / "00.json", "--json").stdout)
    assert [(each["before_ms"] is None, each["after_ms"] is None) for each in rows] == [
        (False, False),
        (False, True),
        (True, False),
        (True, False),
    ]

    late = results(row("net", "student", "onnxruntime fp32", 1.0), row("tiny", "student", "onnxruntime int8", 1.0))
    late.model_copy(update={"created": late.created + timedelta(days=1)}).write(before / "late.json")
    done = zoo_command("bench", "history", before)
    assert "  missing since late.json: the latest results (1) have no time of it" in done.stdout
    assert "  new in late.json: the results before it (5) do not have it" in done.stdout
    assert "missing since late.json" in (before / "history.html").read_text()
    assert [bool(each["absent"]) for each in data(history(read_folder(before)))] == [False, True, True]


def test_a_retrained_network_is_told_which_setting_it_needs_and_accuracy_leads(tmp_path, zoo_command):
    about = json.loads((tiny_bundle(tmp_path / "a.zoo") / "manifest.json").read_text())["accuracy"] | {"images": 500}
    before = edited(tmp_path / "before.zoo", accuracy=about)
    other = GRAPH.replace("{1, 0, 0, 0, 1, 0, 0, 0, 1}", "{0, 1, 0, 1, 0, 0, 0, 0, 1}")
    after = edited(tmp_path / "after.zoo", graph=other, accuracy=about | {"graphs": {"fp32": 0.8, "int8": 0.98}})
    done = zoo_command("bench", "gate", "--baseline", before, "--candidate", after, "--only", "*fp32*")
    assert done.returncode == 1
    assert one_line(done.stderr).startswith(
        "zoo: FAIL: onnxruntime fp32 batch 1: accuracy: top1 100.00 % -> 80.00 % (at most 0.5 % worse) (and "
    )
    assert 'unless it was retrained: for that, set answers = "accuracy" in [tool.zoo.gate] of pyproject.toml' in (
        done.stdout
    )
