import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from bench.cases import Case, Limits
from bench.gpu import Device
from bench.results import read_results
from bench.subjects.accuracy import labelled_images
from bench.suite.collect import Collection, turns
from bench.suite.runner import run
from tests.support.tiny import LABELS, SIDE, colour_folder, tiny_bundle
from zoo.errors import InputError

QUICK = Limits(seconds=0.3, min_rounds=6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo")


def case(bundle: Path, **changes) -> Case:
    return Case(**{"name": "tiny", "subject": bundle, "backend": "onnxruntime", "limits": QUICK} | changes)


def test_a_real_bundle_is_measured_in_children(bundle: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "results.json", []
    cases = [
        case(bundle, threads=1, evaluation=colour_folder(tmp_path / "test"), role="student", group="tiny"),
        case(bundle, backend="openvino", precision="int8", batches=(2,), threads=1),
    ]
    results = run(cases, out=out, on_case=lambda one, rows: seen.append((one, len(rows))), argv=["zoo", "bench"])

    assert read_results(out) == results
    assert seen == [(cases[0], 2), (cases[1], 1)]
    assert results.argv == ["zoo", "bench"]
    first, second, third = results.rows
    assert (first.batch, second.batch, third.batch) == (1, 32, 2)
    assert first.accuracy == second.accuracy
    assert first.accuracy is not None
    assert (first.accuracy.value, first.accuracy.images) == (1.0, 6)
    assert third.accuracy is None
    assert (first.role, first.group, third.role) == ("student", "tiny", None)
    assert (first.parameters, first.macs) == (12, 9)
    assert first.bytes_on_disk == (bundle / "model.fp32.onnx").stat().st_size
    assert first.engine.text == "onnxruntime fp32, 1 thread"
    assert {"onnxruntime", "provider"} == first.engine.versions.keys()
    assert third.engine.text == "openvino int8, 1 thread"
    for row in results.rows:
        assert row.timing is not None
        assert row.timing.stop in ("converged", "time limit")
        assert row.timing.warmup_calls >= 1
        assert 0 < row.timing.p50_ms <= row.timing.p90_ms
        assert sum(map(len, row.timing.rounds_ns)) >= 6


def test_a_case_that_cannot_run_is_a_row_and_the_suite_goes_on(bundle: Path, tmp_path: Path) -> None:
    strange = colour_folder(tmp_path / "test", labels=["red", "green", "bleu"])
    results = run(
        [
            case(bundle, precision="fp16", batches=(1, 4)),
            case(bundle, evaluation=strange),
            case(bundle, subject=tmp_path / "gone.zoo"),
            case(bundle, batches=(1,)),
        ]
    )
    errors = [row.error for row in results.rows]
    assert errors == [
        f"{bundle} has no fp16 graph; it has: fp32, int8",
        f"{bundle} has no fp16 graph; it has: fp32, int8",
        f"{strange / 'bleu'} is not a class of this network; did you mean 'blue'?",
        f"{strange / 'bleu'} is not a class of this network; did you mean 'blue'?",
        f"no such bundle: {tmp_path / 'gone.zoo'}",
        f"no such bundle: {tmp_path / 'gone.zoo'}",
        None,
    ]
    assert [row.batch for row in results.rows] == [1, 4, 1, 32, 1, 32, 1]
    assert results.rows[0].engine.threads is None
    assert results.rows[-1].timing is not None


def test_a_library_that_raises_is_a_row_with_its_one_line(bundle: Path) -> None:
    broken = case(bundle, device="tpu", batches=(1,))
    unfit = case(bundle, backend="nonsense", batches=(1,))
    reasons = [row.error for row in run([broken, unfit]).rows]
    assert reasons == [
        "onnxruntime has no device 'tpu'; there are: cpu, cuda, cuda:1 and so on",
        "no backend called 'nonsense'; there are: onnxruntime, openvino, tensorrt, aotinductor, aotinductor-fused, "
        "onnxruntime-winograd",
    ]


def children(parent: int | None = None) -> list[psutil.Process]:
    """Those that measure: between a fork and its program a child still looks like its parent."""
    return [child for child in psutil.Process(parent).children() if "bench.measure.child" in child.cmdline()]


def test_a_killed_child_is_a_row_and_the_suite_goes_on(bundle: Path) -> None:
    def kill_the_first() -> None:
        while not (found := children()):
            time.sleep(0.01)
        found[0].kill()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    results = run([case(bundle, limits=Limits(seconds=60, interval_width=1e-9)), case(bundle, batches=(1,))])
    killer.join()
    first, second, third = results.rows
    assert (first.batch, second.batch) == (1, 32)
    assert first.error == second.error
    assert first.error == "the child process was killed by SIGKILL (the system does that when memory runs out)"
    assert third.timing is not None


START = """
import sys
from pathlib import Path
from bench.cases import Case
from bench.suite.runner import run
run([Case.model_validate_json(line) for line in sys.stdin], out=Path(sys.argv[1]))
"""


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_child(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    endless = case(bundle, limits=Limits(seconds=600, interval_width=1e-9))
    parent = subprocess.Popen(
        [sys.executable, "-c", START, str(out)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    parent.stdin.write(case(bundle, batches=(4,)).model_dump_json() + "\n" + endless.model_dump_json() + "\n")
    parent.stdin.close()
    deadline = time.monotonic() + 60
    while not out.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child = None
    while child is None and time.monotonic() < deadline:
        child = next(iter(children(parent.pid)), None)
    assert child is not None
    parent.send_signal(signal.SIGINT)
    assert parent.stderr is not None
    assert "KeyboardInterrupt" in parent.stderr.read()
    parent.wait(timeout=30)
    parent.stderr.close()
    assert not child.is_running()
    (row,) = read_results(out).rows
    assert row.batch == 4
    assert row.timing is not None


def test_rows_that_a_child_finished_before_it_died_are_kept(bundle: Path) -> None:
    def kill_after_the_first_batch() -> None:
        while not (found := children()):
            time.sleep(0.01)
        report = Path(found[0].cmdline()[-1])
        while not report.read_text().endswith("\n"):
            time.sleep(0.01)
        found[0].kill()

    killer = threading.Thread(target=kill_after_the_first_batch)
    killer.start()
    # Batch 1 stops at once; a batch of 65,536 images takes its time to be drawn.
    (first, second) = run([case(bundle, batches=(1, 65_536))]).rows
    killer.join()
    assert first.timing is not None
    assert second.error is not None
    assert "SIGKILL" in second.error


def test_no_case_is_a_mistake() -> None:
    with pytest.raises(InputError, match="nothing to measure"):
        run([])


def test_a_folder_called_bench_beside_the_user_is_not_ours(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise SystemExit('not me')")
    monkeypatch.chdir(tmp_path)
    (row,) = run([case(bundle, batches=(1,))]).rows
    assert row.error is None


def test_a_checkpoint_is_measured_in_torch_eager(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from zoo import models
    from zoo.data import DataConfig
    from zoo.learn.recipe.schema import Network
    from zoo.models.checkpoint import About, save

    knobs = {"depth": 8, "width": 0.125}
    about = About(
        name="small",
        role="teacher",
        task="classification",
        network=Network(model="vgg", knobs=knobs),
        labels=LABELS,
        data=DataConfig(size=16, pad=2),
        seed=0,
        metrics={},
        provenance={},
    )
    network = models.build("vgg", classes=3, size=16, **knobs)
    file = save(network, about, tmp_path / "teacher")
    eager = case(
        file.parent,
        name="small",
        backend="torch",
        threads=1,
        batches=(2,),
        role="teacher",
        evaluation=colour_folder(tmp_path / "test"),
    )
    (row,) = run([eager]).rows
    assert row.error is None
    assert row.timing is not None
    assert row.engine.text == "torch fp32, 1 thread"
    assert row.parameters == sum(weight.numel() for weight in network.parameters())
    assert row.macs is not None
    assert row.macs > row.parameters
    assert row.bytes_on_disk == file.stat().st_size
    assert row.accuracy is not None
    assert row.accuracy.images == 6
    (refused,) = run([eager.model_copy(update={"precision": "int8"})]).rows
    assert refused.error == "torch runs in fp32, bf16 on cpu, not in int8"


def test_labelled_images_are_listed_in_order(tmp_path: Path) -> None:
    folder = colour_folder(tmp_path / "test", each=2)
    (folder / "red" / "notes.txt").write_text("not an image")
    (folder / ".cache").mkdir()
    found = labelled_images(folder, LABELS)
    assert [(path.parent.name, target) for path, target in found] == [
        ("blue", 2),
        ("blue", 2),
        ("green", 1),
        ("green", 1),
        ("red", 0),
        ("red", 0),
    ]
    (tmp_path / "empty" / "red").mkdir(parents=True)
    with pytest.raises(InputError, match="no labelled images"):
        labelled_images(tmp_path / "empty", LABELS)
    with pytest.raises(InputError, match="no such folder"):
        labelled_images(tmp_path / "missing", LABELS)


def test_the_tiny_bundle_is_a_valid_bundle(bundle: Path) -> None:
    import zoo

    engine = zoo.load(bundle, precision="int8")
    assert engine.bundle.check_files() == 4
    assert engine.input_shape == (SIDE, SIDE, 3)
    vectors = engine.bundle.selftest()
    assert engine(vectors["image"]) == pytest.approx(vectors["int8"], abs=1e-3)
    assert json.loads((bundle / "manifest.json").read_text())["schema"] == "zoo.bundle/1"


def test_a_row_says_how_it_started_how_many_it_serves_what_it_costs_and_where_the_time_goes(bundle: Path) -> None:
    full = {"threads": 1, "streams": (1, 2), "layers": True, "limits": Limits(seconds=0.1, min_rounds=6)}
    cases = [case(bundle, batches=(1, 4), **full), case(bundle, backend="openvino", batches=(2,), **full)]
    one, four, openvino = run(cases).rows
    assert one.start is not None
    assert openvino.start is not None
    assert four.start is None  # the process had answered before
    assert min(one.start.load_ms, one.start.first_call_ms) > 0
    for row, kinds in ((one, {"ReduceMean", "Gemm"}), (four, {"ReduceMean", "Gemm"}), (openvino, {"FullyConnected"})):
        assert row.error is None
        assert [(level.streams, level.calls > 0) for level in row.saturation] == [(1, True), (2, True)]
        assert row.energy is not None
        assert row.energy.source == "rapl" or "the CPU" in (row.energy.reason or "")
        assert row.gpu is None
        assert row.layers
        assert kinds <= {layer.kind for layer in row.layers}
        assert all(layer.ms >= 0 and layer.name for layer in row.layers)
        assert (row.peak_memory or 0) > 10_000_000


def test_nothing_is_measured_that_was_not_asked_for_and_passes_do_it_once(bundle: Path) -> None:
    (plain,) = run([case(bundle, batches=(1,), energy=False)]).rows
    assert (plain.energy, plain.saturation, plain.layers) == (None, [], None)
    full = case(bundle, batches=(1,), streams=(2,), layers=True)
    (row,) = run([full], passes=2).rows
    assert row.energy is not None
    assert len(row.saturation) == 1
    assert row.layers
    turned = [one for _, one in turns(Collection([full]), 2)]
    assert [(one.streams, one.layers, one.energy) for one in turned] == [((2,), True, True), ((), False, False)]


def test_scopes_and_devices_that_are_not_there_are_rows_with_their_reason(bundle: Path) -> None:
    compute = case(bundle, scope="compute", batches=(1,))
    gpu = case(bundle, device="cuda:0", variant="cold-l2", batches=(1, 2))
    rows = run([compute, gpu, case(bundle, batches=(1,))]).rows
    assert rows[0].error == (
        "onnxruntime on cpu has no scope compute: a CPU has no memory apart from the host's: scope call is all that it "
        "takes"
    )
    assert [(row.batch, row.variant, row.engine.device) for row in rows[1:3]] == [
        (1, "cold-l2", "cuda:0"),
        (2, "cold-l2", "cuda:0"),
    ]
    assert all("no GPU here" in (row.error or "") for row in rows[1:3])
    assert rows[3].error is None


def test_a_gpu_that_is_not_among_those_there_is_refused_before_anything_is_measured(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Device(place=0, name="NVIDIA Test", uuid="GPU-1", handle=None)
    monkeypatch.setattr("bench.gpu.devices", lambda environment: [there])
    out = tmp_path / "results.json"
    with pytest.raises(InputError, match=r"no device 'cuda:7'; there are: cpu, cuda:0 \(NVIDIA Test, GPU-1\)"):
        run([case(bundle), case(bundle, device="cuda:7")], out=out)
    assert not out.exists()


def test_the_child_sees_only_the_gpu_that_was_asked_for(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [Device(place=place, name="NVIDIA Test", uuid=f"GPU-{place}", handle=None) for place in range(3)]
    monkeypatch.setattr("bench.gpu.devices", lambda environment: there)
    child = """
import json, os, sys
with open(sys.argv[1], "a") as report:
    print(json.dumps({"error": os.environ["CUDA_VISIBLE_DEVICES"]}), file=report)
sys.exit(4)
"""
    monkeypatch.setattr("bench.suite.runner.CHILD", [sys.executable, "-c", child])
    (row,) = run([case(bundle, device="cuda:1", batches=(1,))]).rows
    assert (row.error, row.engine.device) == ("GPU-1", "cuda:1")


def test_times_are_kept_when_what_is_measured_after_them_fails(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = (
        "import sys, bench.measure.session as s; s.saturate = None; "
        "import bench.measure.child as c; from pathlib import Path; "
    )
    monkeypatch.setattr(
        "bench.suite.runner.CHILD", [sys.executable, "-c", f"{broken}sys.exit(c.main(Path(sys.argv[1])))"]
    )
    (row,) = run([case(bundle, batches=(1,), streams=(2,))]).rows
    assert row.timing is not None
    assert row.error is None
    assert row.saturation == []
    assert "its times are kept, what is measured after them is not whole: TypeError" in capsys.readouterr().err
