"""The demo, whole: `make test-slow`."""

from __future__ import annotations

import json

import numpy as np
import pytest

import zoo
from bench.results import read_results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from zoo.demo.demo import run_demo

    folder = tmp_path_factory.mktemp("demo") / "out"
    return folder, run_demo(folder)


def test_what_the_demo_is_to_show(demo):
    """Training rounds differently on every kind of CPU: the bounds here leave room for that, the demo's own do not."""
    folder, found = demo
    networks = {network["name"]: network for network in found.networks}
    assert networks["teacher"]["top1"] >= 0.97
    for name in ("mobilenet_v2", "vgg"):
        student, control = networks[name], networks[f"{name}-control"]
        assert student["top1"] > control["top1"]
        assert student["top1"] >= networks["teacher"]["top1"] - 0.025
        assert 10 * student["parameters"] <= networks["teacher"]["parameters"]
    recorded = json.loads((folder / "demo.json").read_text())
    assert recorded["checks"] == found.checks
    assert recorded["networks"] == found.networks


def test_the_table_has_the_six_rows_and_no_gaps(demo):
    folder, found = demo
    rows = {(row.model, row.engine.backend == "torch") for row in found.best.rows}
    students = ("mobilenet_v2", "mobilenet_v2-control", "vgg", "vgg-control")
    assert rows == {("teacher", True), ("teacher", False), *((name, False) for name in students)}
    assert {(row.model, row.batch) for row in found.best.rows} == {(name, b) for name, _ in rows for b in (1, 32)}
    assert all(row.timing and row.accuracy and row.accuracy.images == 360 for row in found.best.rows)
    assert len(read_results(folder / "results.json").rows) > len(found.best.rows)
    assert b"<table" in (folder / "report.html").read_bytes()


def test_a_control_stands_on_the_engine_of_its_student(demo):
    _, found = demo
    engines = {
        row.model: (row.engine.backend, row.engine.precision) for row in found.best.rows if row.role != "teacher"
    }
    assert engines["vgg"] == engines["vgg-control"]
    assert engines["mobilenet_v2"] == engines["mobilenet_v2-control"]


def test_the_second_student_reads_what_the_first_asked(demo):
    folder, _ = demo
    metrics = json.loads((folder / "training" / "vgg" / "metrics.json").read_text())
    assert metrics["answers"]["reused"] > metrics["answers"]["asked"]
    assert metrics["answers"]["seconds_saved"] > 0


def test_samples_are_answered(demo):
    folder, found = demo
    engine = zoo.load(folder / "vgg.zoo")
    assert all(engine.predict(sample).score > 0.3 for sample in found.samples)
    tests = sorted((folder / "test").rglob("*.png"))
    right = [engine.predict(path).label == path.parent.name for path in tests]
    assert np.mean(right) == pytest.approx(engine.bundle.manifest.accuracy.graphs["fp32"])


def test_a_second_run_is_the_same(demo, tmp_path):
    from zoo.demo.demo import run_demo

    folder, found = demo
    again = run_demo(tmp_path / "again")
    assert [n["top1"] for n in again.networks] == [n["top1"] for n in found.networks]
    for name in ("teacher", "mobilenet_v2", "vgg", "mobilenet_v2-control", "vgg-control"):
        graphs = [where / f"{name}.zoo" / "model.fp32.onnx" for where in (folder, tmp_path / "again")]
        assert graphs[0].read_bytes() == graphs[1].read_bytes()
