"""A suite from its TOML file, and going on with one that was interrupted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.main import get_command

import bench
from bench.cases import Case, Limits
from bench.cli import app
from bench.results import read_results
from bench.suite.choices import QUICK
from bench.suite.file import read_suite
from tests.support.places import ROOT
from tests.support.tiny import colour_folder, tiny_bundle
from zoo.errors import InputError

command = get_command(app)
BRIEF = Limits(seconds=0.05, min_rounds=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles, a checkpoint's folder and pictures, beside where a suite will lie."""
    place = tmp_path_factory.mktemp("suite")
    tiny_bundle(place / "one.zoo", name="one")
    tiny_bundle(place / "two.zoo", name="two", precisions=("fp32",))
    (place / "teacher").mkdir()
    colour_folder(place / "test")
    return place


def suite_file(folder: Path, text: str) -> Path:
    path = folder / "suite.toml"
    path.write_text(text)
    return path


WHOLE = """
batches = [1, 8]
backends = ["onnxruntime"]
scopes = ["call", "image"]
photos = "test"
peers = ["onnxruntime-default"]
threads = 1
time_limit = 0.5
passes = 3

[[cases]]
teacher = "run:teacher"
scopes = ["call"]

[[cases]]
bundle = "one.zoo"
batches = [4]
evaluate = "test"
precisions = ["int8"]

[[cases]]
bundle = "two.zoo"
name = "renamed"
peers = ["openvino-default"]
scopes = ["call"]
streams = [1, 2]
layers = true
"""


def test_a_suite_is_the_product_of_what_its_cases_say(folder):
    suite = read_suite(suite_file(folder, WHOLE))
    assert suite.passes == 3
    cases = suite.plan()
    assert [(case.name, case.backend, case.precision, case.scope, case.batches) for case in cases] == [
        ("teacher", "torch", "fp32", "call", (1, 8)),
        ("one", "onnxruntime", "int8", "call", (4,)),
        ("one", "onnxruntime", "int8", "image", (4,)),
        ("one", "onnxruntime-default", "fp32", "call", (4,)),
        ("one", "onnxruntime-default", "fp32", "image", (4,)),
        ("renamed", "onnxruntime", "fp32", "call", (1, 8)),
        ("renamed", "openvino-default", "fp32", "call", (1, 8)),
    ]
    assert cases[1].subject == folder / "one.zoo"
    assert [case.photos for case in cases[1:4]] == [None, folder / "test", None]
    assert [case.evaluation for case in cases[:4]] == [None, folder / "test", None, folder / "test"]
    assert [(case.streams, case.layers) for case in cases[4:6]] == [((), False), ((1, 2), True)]
    assert {(case.threads, case.limits.seconds) for case in cases} == {(1, 0.5)}
    assert {case.limits for case in suite.plan(QUICK)} == {QUICK}


def test_devices_and_variants_are_crossed_where_they_fit(folder):
    text = 'devices = ["cpu", "cuda:1"]\nvariants = ["plain", "cuda-graph"]\nscopes = ["call", "compute"]\n'
    text += 'batches = [1]\nstreams = [2]\n[[cases]]\nbundle = "one.zoo"'
    cases = read_suite(suite_file(folder, text)).plan()
    on_cpu = [(precision, "cpu", "call", None, (2,)) for precision in ("fp32", "int8")]
    on_gpu = [
        ("fp32", "cuda:1", scope, variant, streams)
        for scope, streams in (("call", (2,)), ("compute", ()))
        for variant in (None, "cuda-graph")
    ]
    assert [(case.precision, case.device, case.scope, case.variant, case.streams) for case in cases] == [
        *(on_cpu + on_gpu),  # ONNX Runtime
        *on_cpu,  # OpenVINO
    ]
    for case in cases:
        assert Case.model_validate(case.model_dump()) == case


def test_the_documents_suite_is_one(tmp_path):
    text = (ROOT / "docs" / "bench.md").read_text().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "nightly.toml").write_text(text)
    tiny_bundle(tmp_path / "mobilenet_v2.zoo", name="mobilenet_v2")
    tiny_bundle(tmp_path / "old" / "mobilenet_v2.zoo", name="mobilenet_v2")
    colour_folder(tmp_path / "data" / "val")
    for name in ("teacher", "mobilenet_v2"):
        (tmp_path / "runs" / "imagefolder" / name).mkdir(parents=True)
    cases = read_suite(tmp_path / "bench" / "nightly.toml").plan()
    assert [(case.name, case.backend, case.precision) for case in cases] == [
        ("teacher", "torch", "fp32"),
        *(("mobilenet_v2", name, precision) for name in ("onnxruntime", "openvino") for precision in ("fp32", "int8")),
        ("mobilenet_v2", "onnxruntime-default", "fp32"),
        ("mobilenet_v2", "torch-compile", "fp32"),
        ("mobilenet_v2, before", "onnxruntime", "int8"),
        ("mobilenet_v2, before", "openvino", "int8"),
    ]


ONE = '[[cases]]\nbundle = "one.zoo"\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bachtes = [1]\n" + ONE, r"suite.toml: unknown key 'bachtes'; did you mean 'batches'\?"),
        (ONE + "presicions = ['int8']", r"unknown key 'cases.0.presicions'; did you mean 'precisions'\?"),
        ("cases = [", "suite.toml is no TOML"),
        ("batches = [1]", "cases: Field required"),
        ("cases = []", "cases: .*at least 1"),
        (ONE + "batches = [0]", "cases.0.batches.0: .*greater than 0"),
        (ONE + "batches = [2, 2]", "cases.0.batches: the same value stands there twice"),
        (ONE + "teacher = 'run:teacher'", "cases.0: a case is either a bundle or a teacher"),
        ("[[cases]]\nteacher = 'run:teacher'\nprecisions = ['int8']", "precisions are a bundle's"),
        (
            ONE + "[[cases]]\nbundle = 'gone.zoo'\n[[cases]]\nbundle = 'two.zoo'",
            "case 2 .*: no such bundle: .*gone.zoo",
        ),
        (ONE + "backends = ['openvin']", "case 1 of the suite, .*one.zoo: no backend called 'openvin'"),
        (ONE + "scopes = ['image']", "scope image and photos belong together"),
        (ONE + "devices = ['tpu']", "no device 'tpu'; write cpu, cuda, cuda:1"),
        (ONE + "devices = ['cuda']\nbackends = ['openvino']", "openvino runs on cpu only, and cuda is asked for"),
        (ONE + "scopes = ['compute']", "scope compute is of a GPU"),
        (ONE + "variants = ['cuda-graph']", "variant cuda-graph is of a GPU: --device cuda"),
        (ONE + ONE, "'one · onnxruntime fp32' at batch 1 is measured twice, from .*one.zoo"),
        ("[[cases]]\nteacher = 'timm:resnet18=gone.pth'", "no such weights file: .*gone.pth"),
        ("[[cases]]\nteacher = 'onnx:gone.onnx'", "no such ONNX file: .*gone.onnx"),
    ],
)
def test_a_wrong_suite_is_one_line_before_anything_is_measured(folder, text, reason):
    with pytest.raises(InputError, match=reason):
        command(["run", "--suite", str(suite_file(folder, text))], standalone_mode=False)


def test_a_suite_says_what_is_measured_and_options_say_how(folder, tmp_path, capsys):
    text = 'backends = ["onnxruntime"]\nprecisions = ["fp32"]\nbatches = [1]\nthreads = 1\n'
    path = suite_file(folder, text + ONE)
    with pytest.raises(InputError, match=r"--batch and --suite exclude each other: write it into .*suite.toml"):
        command(["run", "--suite", str(path), "--batch", "4"], standalone_mode=False)
    with pytest.raises(InputError, match="no such suite"):
        command(["run", "--suite", str(folder / "none.toml")], standalone_mode=False)
    with pytest.raises(InputError, match="--quick and --time-limit exclude each other"):
        command(["run", "--suite", str(path), "--quick", "--time-limit", "3"], standalone_mode=False)

    out = tmp_path / "results.json"
    command(["run", "--suite", str(path), "--quick", "--out", str(out)], standalone_mode=False)
    (row,) = read_results(out).rows
    assert row.timing.stop == "time limit"  # a first look never claims to have converged
    assert "1 of 1" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def cases(folder) -> list[Case]:
    known = {"backend": "onnxruntime", "limits": BRIEF, "threads": 1}
    return [
        Case(name="one", subject=folder / "one.zoo", batches=(1, 2), **known),
        Case(name="two", subject=folder / "two.zoo", batches=(1,), **known),
    ]


@pytest.fixture(scope="module")
def measured(cases):
    return bench.run(cases, argv=["zoo", "bench"])


def test_resume_measures_what_is_missing_and_keeps_what_is_there(cases, measured, tmp_path):
    out, seen = tmp_path / "results.json", []

    def resumed():
        return bench.run(cases, out=out, resume=True, on_case=lambda case, rows: seen.append((case.name, case.batches)))

    measured.model_copy(update={"rows": measured.rows[:1]}).write(out)  # interrupted after the first batch size
    second = resumed()
    assert seen == [("one", (2,)), ("two", (1,))]
    assert [(row.model, row.batch) for row in second.rows] == [("one", 1), ("one", 2), ("two", 1)]
    assert second.rows[0] == measured.rows[0]
    assert second.created == measured.created
    assert read_results(out) == second
    again = resumed()
    assert again == second.model_copy(update={"argv": again.argv, "host": again.host})  # how busy it is, changes
    assert len(seen) == 2  # complete: nothing was measured again

    out.unlink()
    bench.run(cases[1:], out=out, resume=True)  # nothing there yet: the same command starts and continues
    assert len(read_results(out).rows) == 1


def test_resume_tries_again_what_failed_or_has_changed(cases, measured, tmp_path, capsys):
    out, seen = tmp_path / "results.json", []
    failed = measured.rows[2].model_copy(update={"timing": None, "error": "out of memory"})
    measured.model_copy(update={"rows": [*measured.rows[:2], failed]}).write(out)
    manifest = cases[0].subject / "manifest.json"
    before = manifest.stat().st_mtime
    os.utime(manifest, (before, measured.created.timestamp() + 60))
    try:
        results = bench.run(cases, out=out, resume=True, on_case=lambda case, rows: seen.append(case.name))
    finally:
        os.utime(manifest, (before, before))
    assert seen == ["one", "two"]
    assert [row.error for row in results.rows] == [None] * 3
    assert "one.zoo has changed since" in capsys.readouterr().err.replace("\n", "")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda found: {"host": found.host.model_copy(update={"cpu": "Another CPU"})},
            "on another machine .Another CPU",
        ),
        (lambda found: {"version": "0.0.1"}, "measured by distilzoo 0.0.1, and this is"),
        (
            lambda found: {"rows": [found.rows[0].model_copy(update={"command": "zoo bench run x.zoo --batch 1"})]},
            "has 1 rows that are not asked for, as zoo bench run x.zoo",
        ),
    ],
)
def test_results_that_are_something_else_are_not_continued(cases, measured, tmp_path, change, reason):
    out = tmp_path / "results.json"
    measured.model_copy(update=change(measured)).write(out)
    kept = out.read_bytes()
    with pytest.raises(InputError, match=reason):
        bench.run(cases, out=out, resume=True)
    assert out.read_bytes() == kept


def test_resume_needs_a_whole_file_and_one_pass(cases, tmp_path):
    with pytest.raises(InputError, match="name it with --out"):
        bench.run(cases, resume=True)
    with pytest.raises(InputError, match="use it with one pass"):
        bench.run(cases, out=tmp_path / "r.json", resume=True, passes=2)
    (tmp_path / "r.json").write_text('{"schema": "zoo.bench/1", "rows": [')
    with pytest.raises(InputError, match="damaged or truncated"):
        bench.run(cases, out=tmp_path / "r.json", resume=True)
