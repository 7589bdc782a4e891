import json
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.cases import Case
from bench.evidence import Gpu
from bench.host import this_host
from bench.results import MIN_CALLS_FOR_P99, SCHEMA, Results, Timing, read_results
from tests.support.rows import HOST, family, row
from zoo.errors import EnvironmentProblem, InputError


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    family().write(path)
    assert read_results(path) == family()
    assert json.loads(path.read_text())["schema"] == SCHEMA
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_results_without_rows_are_results(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    empty = family().model_copy(update={"rows": []})
    empty.write(path)
    assert read_results(path) == empty


@pytest.mark.parametrize("keep", [0, 1, 100, -3])
def test_a_truncated_file_is_one_clear_line(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "r.json"
    path.write_text(family().to_json()[:keep])
    with pytest.raises(InputError, match=r"^\S*r\.json is damaged or truncated: .+$"):
        read_results(path)


def edited(tmp_path: Path, change) -> Path:
    data = json.loads(family().to_json())
    change(data)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(data))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.update(schema="zoo.bench/9"), "schema 'zoo.bench/9' is not known"),
        (lambda data: data.pop("schema"), "schema None is not known"),
        (lambda data: data.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda data: data.pop("host"), "host: Field required"),
        (lambda data: data["rows"][0]["timing"].update(p50_ms=float("nan")), "rows.0.timing.p50_ms: .*finite number"),
        (lambda data: data["rows"][0]["timing"].update(p50_ms=0), "rows.0.timing.p50_ms: .*greater than 0"),
        (lambda data: data["rows"][0]["timing"].update(p99_ms=float("inf")), "rows.0.timing.p99_ms: .*finite number"),
        (lambda data: data["rows"][0].update(error="x"), "rows.0: a row has either a timing or an error"),
        (lambda data: data["rows"][0]["engine"].update(precision="fp8"), "rows.0.engine.precision: .*fp32"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, change, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_results(edited(tmp_path, change))
    assert "\n" not in str(caught.value)


def test_other_files_are_not_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such results"):
        read_results(tmp_path / "missing.json")
    with pytest.raises(InputError, match="cannot read"):
        read_results(tmp_path)
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="schema None"):
        read_results(tmp_path / "list.json")


def test_a_file_that_cannot_be_written_is_the_environments_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        family().write(tmp_path / "file" / "r.json")


def test_p99_needs_662_calls() -> None:
    def of(calls: int) -> Timing:
        return Timing.of([[1000] * calls], batch=1, stop="converged", warmup_calls=0)

    assert MIN_CALLS_FOR_P99 == 662
    assert of(661).p99_ms is None
    assert of(662).p99_ms == 0.001


def test_statistics_are_those_of_the_rounds() -> None:
    rounds = [[10_000_000, 30_000_000, 20_000_000]] * 5 + [[40_000_000] * 3]
    timing = Timing.of(rounds, batch=4, stop="time limit", warmup_calls=3)
    assert timing.p50_ms == 20.0
    assert timing.p50_interval_ms == (20.0, 40.0)
    assert timing.mean_ms == pytest.approx(420 / 18)
    assert timing.images_per_second == pytest.approx(4 * 18 / 0.42)
    assert timing.p90_ms == 40.0
    assert timing.calls_ms[:3] == [10.0, 30.0, 20.0]


def test_a_row_needs_a_timing_or_a_reason() -> None:
    good = row("net", None, "onnxruntime fp32", 1.0)
    with pytest.raises(ValidationError, match="either a timing or an error"):
        type(good).model_validate(good.model_dump() | {"timing": None})


def test_host_is_this_machine_without_its_name() -> None:
    host = this_host()
    assert host.cores >= 1
    assert host.memory_gib > 0
    name = subprocess.run(["uname", "-n"], capture_output=True, text=True, check=True).stdout.strip()
    assert name not in host.model_dump().values()
    assert host.fingerprint == this_host().fingerprint


def test_fingerprint_follows_what_decides_speed_and_nothing_else() -> None:
    assert len(HOST.fingerprint) == 64
    same = HOST.model_copy(update={"load_average": 3.0, "kernel": "6.2", "python": "3.12.0", "system": "Other"})
    assert same.fingerprint == HOST.fingerprint
    for change in ({"cpu": "Other"}, {"cores": 4}, {"cpu_quota": 1.5}, {"governor": "powersave"}):
        assert HOST.model_copy(update=change).fingerprint != HOST.fingerprint


@pytest.mark.parametrize("batches", [(), (0,), (1, 1), (-4, 1)])
def test_a_case_needs_sensible_batches(batches: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        Case(name="net", subject=Path("net.zoo"), backend="onnxruntime", batches=batches)


def test_schema_can_be_published() -> None:
    schema = Results.model_json_schema(by_alias=True)
    assert schema["properties"]["schema"]["const"] == SCHEMA
    assert schema["additionalProperties"] is False


def test_a_gpu_that_two_processes_saw_is_one_with_all_that_was_seen() -> None:
    seen = Gpu(name="A", memory=5, power_state="P0", sm_mhz=(1700, 1900), throttle=["power cap"], busy=0)
    again = Gpu(name="A", memory=None, power_state="P0", sm_mhz=(1800, 1980), throttle=[], busy=12)
    both = seen.joined(again)
    assert (both.memory, both.sm_mhz, both.throttle, both.busy) == (5, (1700, 1980), ["power cap"], 12)
    dark = Gpu(name="A", memory=None, power_state=None, sm_mhz=None, throttle=[])
    assert dark.joined(dark) == dark
