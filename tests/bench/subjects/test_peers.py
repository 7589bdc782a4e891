"""Engines beside what others do with the same network, in both scopes and in interleaved passes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from bench.cases import Case, Limits
from bench.cli import app
from bench.page.report import render
from bench.results import Results
from bench.show.against import contests
from bench.show.text import markdown
from bench.subjects.photos import in_batches
from bench.suite.collect import Collection, turns
from bench.suite.runner import run
from tests.support.rows import results, row
from tests.support.tiny import LABELS, SIDE, colour_folder, tiny_bundle

command = get_command(app)
QUICK = Limits(seconds=0.05, min_rounds=1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo")


def test_both_scopes_with_peers_are_measured_and_never_share_a_table(bundle, tmp_path, capsys):
    photos = colour_folder(tmp_path / "photos")
    words = ["run", bundle, "--backend", "onnxruntime", "--precision", "int8", "--scope", "call,image"]
    words += ["--photos", photos, "--peer", "onnxruntime-default", "--peer", "openvino-default"]
    words += ["--batch", "1", "--time-limit", "0.05", "--threads", 1, "--json"]
    command([str(word) for word in words], standalone_mode=False)
    found = Results.model_validate(json.loads(capsys.readouterr().out))
    assert [(one.engine.backend, one.scope) for one in found.rows] == [
        (backend, scope)
        for backend in ("onnxruntime", "onnxruntime-default", "openvino-default")
        for scope in ("call", "image")
    ]
    assert all(one.error is None for one in found.rows)
    for one in found.rows:
        assert one.top == ([2, 2, 1, 1, 0, 0] if one.scope == "image" else None)  # blue, green, red, by file name
        assert one.peak_memory is not None
        if one.scope == "image":
            assert {len(calls) % 6 for calls in one.timing.rounds_ns} == {0}  # whole rounds over six photos

    call, image = contests(found)
    assert (call.scope, image.scope) == ("call", "image")
    assert call.agreement("openvino-default") is None
    assert image.agreement("openvino-default") == 1.0
    tables = markdown(found).split("\n| model |")
    assert len(tables) == 3
    assert ["scope: call" in table for table in tables] == [True, False, False]
    assert ["scope: image" in table for table in tables] == [False, True, False]
    assert "| same top-1 |" in tables[2]
    page = render(found)
    assert [f'id="tab-{scope}"' in page for scope in ("compute", "call", "image")] == [False, True, True]
    assert "Beside what others do" in page
    again = (
        f"--peer onnxruntime-default={bundle} --batch 1 --scope image --photos {photos} --threads 1 --time-limit 0.05"
    )
    assert shlex.split(found.rows[3].command) == ["zoo", "bench", "run", *shlex.split(again)]


def test_ratios_are_of_the_fastest_engine_that_keeps_its_accuracy():
    found = results(
        row("net", None, "onnxruntime fp32", 4.0, accuracy=0.9),
        row("net", None, "openvino int8", 1.0, accuracy=0.8),
        row("net", None, "onnxruntime int8", 2.0, accuracy=0.895),
        row("net", None, "onnxruntime-default fp32", 5.0, accuracy=0.9),
        row("net", None, "torch-compile fp32", 1, error="no compiler"),
    )
    (contest,) = contests(found)
    assert contest.ours.engine.text == "onnxruntime int8, 2 threads"
    assert contest.ratio("onnxruntime-default") == pytest.approx(2.5)
    assert contest.ratio("torch-compile") is None
    assert "| net | call | 1 | onnxruntime int8, 2 threads | 2.00 ms | 2.50× (5.00 ms) | – |" in markdown(found)
    assert contests(results(row("net", None, "onnxruntime fp32", 4.0))) == []


def test_passes_are_interleaved_and_their_rounds_are_one_measurement(bundle, tmp_path):
    cases = [
        Case(name="tiny", subject=bundle, backend="onnxruntime", batches=(1,), limits=QUICK, threads=threads)
        for threads in (1, 2)
    ]
    once, thrice = run(cases[:1], passes=1), run(cases, passes=3)
    assert [one.engine.threads for one in thrice.rows] == [1, 2]
    for one in thrice.rows:
        assert len(one.timing.rounds_ns) >= 3
        assert one.timing.warmup_calls > once.rows[0].timing.warmup_calls


def test_what_failed_or_is_out_of_the_race_is_not_asked_again(bundle):
    case = Case(name="a", subject=bundle, backend="onnxruntime", evaluation=bundle)
    found = Collection([case, case.model_copy(update={"name": "b"}), case.model_copy(update={"name": "c"})])
    asked = []
    for place, one in turns(found, 3, lambda found, place: place != 1):
        asked.append(one.name)
        assert (one.evaluation is None) == (len(asked) > 3)  # accuracy is measured in the first pass alone
        error = "no" if place == 2 else None
        found.add(place, [row(one.name, None, "onnxruntime fp32", 1.0, accuracy=None, error=error)])
    assert sorted(asked[:3]) == ["a", "b", "c"]
    assert asked[3:] == ["a", "a"]
    assert len(found.of(0)[0].timing.rounds_ns) == 3 * len(found.of(1)[0].timing.rounds_ns)
    assert found.failed(2)


def test_batches_of_photos_hold_each_of_them():
    photos = [bytes([number]) for number in range(5)]
    assert in_batches(photos, 2) == [photos[0:2], photos[2:4], [photos[4], photos[0]]]
    assert [len(batch) for batch in in_batches(photos, 8)] == [8]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """An untrained network of ours, as a training would have written it."""
    from zoo import models
    from zoo.data import DataConfig
    from zoo.learn.recipe.schema import Network
    from zoo.models.checkpoint import About, save

    knobs = {"depth": 8, "width": 0.125}
    about = About(
        name="tiny",
        role="student",
        task="classification",
        network=Network(model="vgg", knobs=knobs),
        labels=LABELS,
        data=DataConfig(size=32, resize=36),
        seed=0,
        metrics={},
        provenance={},
    )
    return save(models.build("vgg", classes=3, size=32, **knobs).eval(), about, tmp_path / "tiny").parent


@pytest.mark.slow
def test_torch_compiled_and_torchvisions_pipeline(checkpoint, tmp_path):
    assert SIDE < 16  # the photos are larger than the network of the bundle
    photos = colour_folder(tmp_path / "photos")
    common = {"name": "tiny", "subject": checkpoint, "limits": QUICK, "threads": 1, "batches": (1, 2)}
    image = {"scope": "image", "photos": photos}
    found = run(
        [
            Case(**common, backend="torch", **image),
            Case(**common, backend="torch-compile"),
            Case(**common, backend="torch-compile", **image),
            Case(**common, backend="torchvision-pipeline", **image),
        ]
    )
    assert [one.error for one in found.rows] == [None] * 8
    tops = {one.engine.backend: one.top for one in found.rows if one.scope == "image"}
    assert tops["torch"] == tops["torch-compile"] == tops["torchvision-pipeline"]
