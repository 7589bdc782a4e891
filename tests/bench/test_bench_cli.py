import json
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from bench.cases import Limits
from bench.cli import app
from bench.results import Results, read_results
from bench.suite.case_list import list_cases
from bench.suite.choices import Choices
from tests.support.rows import family
from tests.support.tiny import colour_folder, tiny_bundle
from zoo.bundle.manifest import Manifest
from zoo.engines.backend import Backend
from zoo.engines.registry import BACKENDS
from zoo.errors import EnvironmentProblem, InputError

command = get_command(app)


def zoo_bench(*words: object) -> None:
    """What the shell command does, as far as this room is concerned."""
    command([str(word) for word in words], standalone_mode=False)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo", precisions=("fp32", "fp16", "int8"))


def with_role(bundle: Path, path: Path, name: str, role: str) -> Path:
    """The same bundle with another name and the provenance that `zoo export` writes."""
    tiny_bundle(path, name=name)
    manifest = Manifest.model_validate_json((path / "manifest.json").read_text())
    changed = manifest.model_copy(update={"provenance": {"role": role}})
    (path / "manifest.json").write_text(changed.to_json())
    return path


def test_run_prints_a_table_and_writes_results_and_report_writes_the_page(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    test = colour_folder(tmp_path / "test")
    zoo_bench("run", bundle, "--evaluate", test, "--batch", "1", "--time-limit", "0.1", "--threads", 1, "-o", out)
    printed = capsys.readouterr()
    assert "onnxruntime int8, 1 thread" in printed.out
    assert "openvino fp32, 1 thread" in printed.out
    assert "fp16" not in printed.out  # on a CPU it is measured when asked for
    assert "100.00 %" in printed.out
    assert "measuring" not in printed.out
    assert "measuring" in printed.err
    assert len(read_results(out).rows) == 4

    zoo_bench("report", out)
    assert capsys.readouterr().out.strip() == str(tmp_path / "results.html")
    assert (tmp_path / "results.html").read_text().startswith("<!doctype html>")


def test_json_prints_the_results_and_a_rows_command_measures_it_again(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo_bench(
        "run",
        bundle,
        "--backend",
        "onnxruntime",
        "--precision",
        "fp16",
        "--batch",
        "2",
        "--time-limit",
        "0.1",
        "--json",
    )
    (first,) = Results.model_validate(json.loads(capsys.readouterr().out)).rows
    words = shlex.split(first.command)
    assert words[:2] == ["zoo", "bench"]
    zoo_bench(*words[2:], "--json")
    (second,) = Results.model_validate(json.loads(capsys.readouterr().out)).rows
    assert second.engine == first.engine
    assert (second.model, second.batch, second.command) == (first.model, first.batch, first.command)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "nothing to measure: give a bundle"),
        (["BUNDLE", "--backend", "openvin"], "no backend called 'openvin'.*did you mean 'openvino'"),
        (["BUNDLE", "--precision", "fp8"], "no precision called 'fp8'; there are: fp32, fp16, int8"),
        (["BUNDLE", "--batch", "1,x"], "--batch 1,x: write numbers like 1,32"),
        (["BUNDLE", "--batch", "0"], "write numbers"),
        (["BUNDLE", "--time-limit", "0"], "--time-limit must be more than 0"),
        (["BUNDLE", "--evaluate", "nowhere"], "no such folder of labelled images: nowhere"),
        (["nowhere.zoo"], "no such bundle: nowhere.zoo"),
        (["--teacher", "run:nowhere"], "no such checkpoint: nowhere"),
        (["--teacher", "resnet18"], "--teacher resnet18: write one of run:DIR, timm:NAME"),
        (
            ["BUNDLE", "--precision", "bf16", "--backend", "onnxruntime"],
            "does not execute in bf16; openvino and aotinductor can",
        ),
        (["BUNDLE", "--scope", "picture"], "no scope called 'picture'; there are: compute, call, image"),
        (["BUNDLE", "--scope", "image"], "scope image and photos belong together: --scope image --photos DIR"),
        (["BUNDLE", "--scope", "image", "--photos", "nowhere"], "no such folder of photos: nowhere"),
        (["BUNDLE", "--peer", "openvino"], "no peer called 'openvino'.*did you mean 'openvino-default'"),
        (["BUNDLE", "--peer", "torch-compile"], "--peer torch-compile: write torch-compile=DIR"),
        (["BUNDLE", "--peer", "torchvision-pipeline=x"], "takes pictures: measure it with --scope image"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_measured(bundle: Path, words: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        zoo_bench("run", *[str(bundle) if word == "BUNDLE" else word for word in words])


def test_a_precision_that_is_not_packed_is_bad_input(tmp_path: Path) -> None:
    small = tiny_bundle(tmp_path / "small.zoo", precisions=("fp32",))
    with pytest.raises(InputError, match="has no int8 graph; it has: fp32"):
        zoo_bench("run", small, "--precision", "int8")
    assert {case.precision for case in list_cases([small], [], Choices())} == {"fp32"}


def test_rows_that_failed_are_shown_and_the_exit_code_says_so(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    broken = tiny_bundle(tmp_path / "broken.zoo", name="broken")
    (broken / "model.int8.onnx").write_bytes(b"not a graph")
    with pytest.raises(
        EnvironmentProblem, match=r"^1 of 2 rows could not be measured; the first is broken: .*int8"
    ) as caught:
        zoo_bench("run", broken, "--backend", "onnxruntime", "--batch", "1", "--time-limit", "0.1", "-o", out)
    assert caught.value.exit_code == 4
    assert "Not measured: broken · onnxruntime int8: " in capsys.readouterr().out
    assert [row.error is None for row in read_results(out).rows] == [True, False]


def test_report_of_something_else_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such results"):
        zoo_bench("report", tmp_path / "r.json")
    (tmp_path / "r.json").write_text(family().to_json()[:50])
    with pytest.raises(InputError, match="damaged or truncated"):
        zoo_bench("report", tmp_path / "r.json")
    assert not (tmp_path / "r.html").exists()


def test_roles_and_groups_come_from_what_export_wrote(bundle: Path, tmp_path: Path) -> None:
    bundles = [
        with_role(bundle, tmp_path / "t.zoo", "big", "teacher"),
        with_role(bundle, tmp_path / "c.zoo", "net-control", "control"),
        with_role(bundle, tmp_path / "s.zoo", "net", "student"),
        bundle,
    ]
    (tmp_path / "teacher").mkdir()
    choices = Choices(backends=["openvino"], precisions=["fp32"], batches=[4], threads=3, limits=Limits(seconds=9))
    cases = list_cases(bundles, [f"run:{tmp_path / 'teacher'}"], choices)
    assert [(case.name, case.role, case.group, case.backend) for case in cases] == [
        ("teacher", "teacher", None, "torch"),
        ("big", "teacher", None, "openvino"),
        ("net-control", "control", "net", "openvino"),
        ("net", "student", "net", "openvino"),
        ("tiny", None, None, "openvino"),
    ]
    assert {(case.batches, case.threads, case.limits.seconds) for case in cases} == {((4,), 3, 9.0)}
    assert (
        cases[0].command() == f"zoo bench run --teacher run:{tmp_path / 'teacher'} --batch 4 --threads 3 --time-limit 9"
    )


class OfTomorrow(Backend):
    name, library = "a_backend_of_tomorrow", "a_library_of_tomorrow"


MISSING = {
    f"{name}_of_tomorrow": f"OfTomorrow{name.title()}" for name in ("one", "two", "three", "four", "five", "six")
}
globals().update({kind: type(kind, (OfTomorrow,), {"name": name}) for name, kind in MISSING.items()})


def test_backends_that_are_not_installed_are_left_out_unless_asked_for(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(BACKENDS, "a_backend_of_tomorrow", f"{__name__}:OfTomorrow")
    assert {case.backend for case in list_cases([bundle], [], Choices())} == {"onnxruntime", "openvino"}
    assert "a_backend_of_tomorrow is not installed and is left out" in capsys.readouterr().err
    asked = list_cases([bundle], [], Choices(backends=["a_backend_of_tomorrow"], precisions=["fp32"]))
    assert [case.backend for case in asked] == ["a_backend_of_tomorrow"]


def test_notes_on_what_is_left_out_come_in_the_order_of_the_backends(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in MISSING.items():
        monkeypatch.setitem(BACKENDS, name, f"{__name__}:{kind}")
    list_cases([bundle], [], Choices())
    noted = [line.split()[0] for line in capsys.readouterr().err.splitlines() if "is not installed" in line]
    assert [name for name in noted if name in MISSING] == list(MISSING)
