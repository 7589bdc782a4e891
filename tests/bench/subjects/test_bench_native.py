"""`zoo bench run --native`: libzoo's loop in C as rows of the results."""

from __future__ import annotations

import pytest

from bench.results import read_results
from bench.suite.case_list import list_cases
from bench.suite.choices import Choices
from tests.support.tiny import tiny_bundle


@pytest.fixture
def with_library(library, monkeypatch):
    monkeypatch.setenv("ZOO_LIBRARY", str(library))


def test_libzoo_stands_beside_its_backend_in_both_scopes(with_library, zoo_command, bundle_path, pictures, tmp_path):
    asked = [bundle_path, "--native", "--backend", "onnxruntime", "--precision", "fp32", "--threads", "1"]
    asked += ["--batch", "1,3", "--scope", "call,image", "--photos", pictures / "cross", "--time-limit", "0.05"]
    done = zoo_command("bench", "run", *asked, "-o", tmp_path / "results.json")
    assert done.returncode == 0, done.stderr
    assert "to the backend's own call" in done.stdout
    assert "two threads on one model do" in done.stdout
    assert "times where the process has opened it before" in done.stdout
    found = {(row.engine.backend, row.scope, row.batch): row for row in read_results(tmp_path / "results.json").rows}
    assert {key for key in found if key[0] == "libzoo-onnxruntime"} == {
        ("libzoo-onnxruntime", "call", 1),
        ("libzoo-onnxruntime", "call", 3),
        ("libzoo-onnxruntime", "image", 1),  # it takes one picture at a time
    }
    call, image = (found["libzoo-onnxruntime", scope, 1] for scope in ("call", "image"))
    assert call.timing.rounds_ns
    assert call.engine.versions["runtime"].startswith("onnxruntime ")
    assert call.embedded.overhead_us is not None
    assert [level.streams for level in call.saturation] == [1, 2]
    assert call.embedded.again is not None
    assert image.top == found["onnxruntime", "image", 1].top
    assert image.embedded.preprocess_ms > 0
    assert "--backend libzoo-onnxruntime" in call.command


def test_a_library_without_its_program_is_one_line_before_anything_is_measured(zoo_command, bundle_path, monkeypatch):
    monkeypatch.setenv("ZOO_LIBRARY", "/nowhere/lib/libzoo.so.1")
    done = zoo_command("bench", "run", bundle_path, "--backend", "libzoo-onnxruntime")
    assert (done.returncode, done.stderr.count("\n")) == (4, 1), done.stderr
    assert "/nowhere/bin/zoo-native-bench is not there" in done.stderr


def test_what_the_loop_cannot_run_is_the_rows_reason(with_library, zoo_command, bundle_path, monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_ONNXRUNTIME_LIBRARY", "/nowhere/libonnxruntime.so")
    asked = ["--backend", "libzoo-onnxruntime", "--precision", "fp32", "--batch", "1", "-o", tmp_path / "results.json"]
    done = zoo_command("bench", "run", bundle_path, *asked)
    assert done.returncode == 4
    assert "/nowhere/libonnxruntime.so" in read_results(tmp_path / "results.json").rows[0].error


def test_it_is_planned_in_the_precisions_that_it_runs(with_library, tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny.zoo", precisions=("fp32", "int8"))
    asked = Choices(
        backends=["onnxruntime-winograd", "openvino"], native=True, precisions=["fp32", "int8", "bf16"], threads=1
    )
    assert [(case.backend, case.precision) for case in list_cases([bundle], [], asked)] == [
        ("onnxruntime-winograd", "int8"),
        ("openvino", "fp32"),
        ("openvino", "int8"),
        ("openvino", "bf16"),
        ("libzoo-onnxruntime-winograd", "int8"),
        ("libzoo-openvino", "fp32"),
        ("libzoo-openvino", "int8"),
    ]
