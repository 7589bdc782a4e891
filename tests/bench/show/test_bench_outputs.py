"""Results for other programs: CSV, pytest-benchmark's JSON, JSON Schema, and Python."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import jsonschema
import pytest
from typer.main import get_command

import bench
from bench.cli import app
from bench.evidence import Energy, Gpu, Limit, Saturation, Start
from bench.schema import SCHEMAS, schema
from bench.show.flat import COLUMNS, to_csv
from bench.show.pytest_json import to_pytest_benchmark
from bench.stats import median
from tests.support.places import ROOT
from tests.support.rows import family, results, row
from tests.support.tiny import tiny_bundle
from zoo.errors import InputError

command = get_command(app)
HEADING = (
    "model role group backend precision device threads scope variant batch metric accuracy accuracy_images parameters "
    "macs bytes_on_disk peak_memory_bytes gpu_memory_bytes p50_ms p50_low_ms p50_high_ms p90_ms p95_ms p99_ms mean_ms "
    "spread images_per_second saturated_images_per_second load_ms first_call_ms joules_per_image floor_ms bound stop "
    "rounds calls error command created version host"
)


def test_csv_has_a_line_for_each_row_and_the_same_columns_as_ever():
    full = row("net", "student", "onnxruntime int8", 2.0).model_copy(
        update={
            "variant": "cuda-graph",
            "start": Start(load_ms=5, first_call_ms=9),
            "saturation": [Saturation(streams=n, images_per_second=100 * n, calls=9) for n in (1, 2)],
            "energy": Energy(joules_per_image=0.5, source="rapl", reason=None),
            "gpu": Gpu(name="G", memory=77, power_state=None, sm_mhz=None, throttle=[]),
            "limit": Limit(flops=1, bytes=1, bound="memory", floor_ms=0.25),
        }
    )
    found = list(
        csv.DictReader(io.StringIO(to_csv(results(full, row("net", None, "openvino fp32", 1, error="no, not")))))
    )
    assert " ".join(found[0]) == HEADING, "programs read these by name: add new ones at the end"
    one, other = found
    wanted = {"model": "net", "variant": "cuda-graph", "p50_ms": "2.0", "p50_low_ms": "2.0", "p99_ms": ""}
    wanted |= {"saturated_images_per_second": "200.0", "first_call_ms": "9.0", "joules_per_image": "0.5"}
    wanted |= {"gpu_memory_bytes": "77", "floor_ms": "0.25", "rounds": "20", "calls": "200", "accuracy": "0.99"}
    assert wanted.items() <= one.items()
    assert other["error"] == "no, not"
    assert other["p50_ms"] == ""
    assert set(COLUMNS) == set(one)


def test_pytest_benchmark_reads_and_compares_what_is_written(tmp_path):
    path = tmp_path / "0001_results.json"
    found = family()
    path.write_text(to_pytest_benchmark(found))
    written = json.loads(path.read_text())["benchmarks"]
    timed = [one for one in found.rows if one.timing]
    assert len(written) == len(timed) < len(found.rows)
    for entry, one in zip(written, timed, strict=True):
        stats = entry["stats"]
        assert stats["median"] * 1e3 == pytest.approx(one.timing.p50_ms)
        assert stats["rounds"] == len(stats["data"]) == 20
        assert stats["median"] == median(stats["data"])
        assert stats["ops"] == pytest.approx(1 / stats["mean"])
    assert len({entry["fullname"] for entry in written}) == len(written)

    pytest.importorskip("pytest_benchmark")
    table = tmp_path / "table.csv"
    words = ["compare", str(path), "--csv", str(table), "--columns", "median,ops,rounds", "--group-by", "group"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = list(csv.DictReader(io.StringIO(table.read_text())))
    assert len(lines) == len(written)
    assert "call, batch 32" in done.stdout


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_changes_on_purpose_only(name):
    file = ROOT / "docs" / "schema" / f"{name}.json"
    assert file.read_text() == schema(name), (
        f"files of {name} look different now. If that is meant: a key that is gone or means something else asks for a "
        f"new number in the schema's name. Then: zoo bench schema {name} > {file.relative_to(ROOT)}"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(file.read_text()))


def test_the_schema_takes_our_files_and_no_others(capsys):
    command(["schema"], standalone_mode=False)
    known = json.loads(capsys.readouterr().out)
    data = json.loads(family().to_json())
    jsonschema.validate(data, known)
    del data["rows"][0]["engine"]["backend"]
    with pytest.raises(jsonschema.ValidationError, match="backend"):
        jsonschema.validate(data, known)
    with pytest.raises(InputError, match=r"no schema 'zoo.bench'; there are: zoo.bench-1.*did you mean 'zoo.bench-1'"):
        command(["schema", "zoo.bench"], standalone_mode=False)


def test_run_writes_every_form_beside_its_table(tmp_path, capsys):
    bundle = tiny_bundle(tmp_path / "tiny.zoo", precisions=("fp32",))
    out = {name: tmp_path / name for name in ("results.json", "rows.csv", "pytest.json")}
    words = [
        "run",
        bundle,
        "--backend",
        "onnxruntime",
        "--batch",
        1,
        "--quick",
        "--threads",
        1,
        "-o",
        out["results.json"],
    ]
    words += ["--csv", out["rows.csv"], "--pytest-benchmark-json", out["pytest.json"], "--json"]
    command([str(word) for word in words], standalone_mode=False)
    found = bench.Results.model_validate_json(capsys.readouterr().out)
    assert found == bench.read_results(out["results.json"])
    assert out["rows.csv"].read_text() == to_csv(found)
    assert out["pytest.json"].read_text() == to_pytest_benchmark(found)


def test_python_gets_the_same_objects_and_importing_them_is_light():
    assert bench.Case.__module__ == "bench.cases"
    for name in bench.__all__:
        assert getattr(bench, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'measure_all'"):
        bench.measure_all  # noqa: B018
    code = "import sys; before = set(sys.modules); import bench; print(*(set(sys.modules) - before))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in shown.stdout.split()} <= {"bench", *sys.stdlib_module_names}
