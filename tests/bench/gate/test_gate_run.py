"""The gate on real engines: tiny graphs, in processes of their own."""

import json
import math
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from typer.main import get_command

from bench.cli import app
from bench.gate import arm as processes
from bench.gate.child import turn
from bench.gate.config import Benchmark, GateConfig, read_config
from bench.gate.paired_differences import CALLS, FEWEST_ROUNDS, ROUNDS, SLOW_CALLS, PairSize, take_turns
from bench.gate.receipt import read_receipt
from bench.gate.run import run
from tests.support.gates import edited, write_graph
from tests.support.tiny import GRAPH, tiny_bundle
from zoo.errors import INTERRUPTED, EnvironmentProblem, InputError, VerdictError, ZooError

ONE = GateConfig(benchmarks=(Benchmark(threads=1, metrics=("time", "load", "first_call", "memory")),))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo")


def test_fresh_processes_take_turns_in_random_order_and_everything_is_kept(bundle: Path, tmp_path: Path) -> None:
    found = run(bundle, bundle, ONE, out=tmp_path / "gate.json", pairs=2, seed=3, argv=["zoo"])
    assert read_receipt(tmp_path / "gate.json") == found
    (entry,) = found.entries
    assert entry.engine is not None
    assert entry.engine.text == "onnxruntime fp32, 1 thread"
    assert [part.metric for part in entry.measured] == ["time", "load", "first_call", "memory"]
    assert found.family == 4
    assert {part.verdict for part in entry.measured} == {"inconclusive"}
    assert entry.measured[0].reason == "stopped after 2 process pairs"
    assert [(check.name, check.verdict) for check in entry.checks] == [
        ("answers", "pass"),
        ("bytes", "pass"),
        ("parameters", "pass"),
        ("accuracy", "pass"),
    ]
    assert len(entry.pairs) == 2
    for pair in entry.pairs:
        assert len(pair.rounds) == ROUNDS
        assert {len(calls) for each in pair.rounds for calls in each.values()} == {entry.calls}
        assert {tuple(each) for each in pair.rounds} == {("baseline", "candidate"), ("candidate", "baseline")}
        assert math.isfinite(pair.unit("time"))
        assert abs(pair.unit("memory")) < 0.2
    assert found.verdict == "inconclusive"


def test_two_onnx_files_and_a_slowdown_that_is_really_there(tmp_path: Path) -> None:
    """How much slower a machine makes it is not asserted: a test with a clock of its own says that it is ten times."""
    before, after = write_graph(tmp_path / "a.onnx"), write_graph(tmp_path / "b.onnx")
    found = run(before, after, GateConfig(benchmarks=(Benchmark(threads=1),)), injected=9, pairs=2)
    (entry,) = found.entries
    units = [pair.unit("time") for pair in entry.pairs]
    assert min(units) > 0
    (time,) = entry.measured
    assert time.change == pytest.approx(math.expm1(sum(units) / 2))
    assert time.low < time.change < time.high
    assert found.injected == 9
    parameters = next(check for check in entry.checks if check.name == "parameters")
    assert parameters.reason == "14 -> 14"  # the matrix, the bias and the axes


def test_a_candidate_that_answers_wrongly_but_faster_fails_at_once(bundle: Path, tmp_path: Path) -> None:
    lazy = GRAPH.replace("int64[2] axes = {1, 2}", "int64[2] axes = {1, 2}, float[3] zero = {0, 0, 0}").replace(
        "Gemm (colour, weight, bias)", "Mul (colour, zero)"
    )
    found = run(bundle, edited(tmp_path / "fast.zoo", graph=lazy), ONE)
    assert found.verdict == "fail"
    assert "answers: difference 1 (at most 0.05): its outputs are wrong" in found.reason
    assert len(found.entries[0].pairs) == 1


def test_nan_answers_are_wrong_whatever_is_asked(bundle: Path, tmp_path: Path) -> None:
    nan = GRAPH.replace("float[3] bias = {0, 0, 0}", "float[3] bias = {0, 0, 0}, float[1] none = {0}").replace(
        "logits = Gemm (colour, weight, bias)",
        "all = Gemm (colour, weight, bias) zeros = Mul (all, none) logits = Div (zeros, zeros)",
    )
    broken = edited(tmp_path / "nan.zoo", graph=nan)
    for answers in ("same", "accuracy"):
        config = ONE.model_copy(update={"answers": answers, "bytes": 10.0})
        found = run(bundle, broken, config, pairs=1)
        assert (found.verdict, found.entries[0].checks[0].verdict) == ("fail", "fail")


def test_bytes_parameters_and_accuracy_have_exact_gates(bundle: Path, tmp_path: Path) -> None:
    about = json.loads((bundle / "manifest.json").read_text())
    of_4000 = about["accuracy"] | {"images": 4000}
    accuracy = of_4000 | {"graphs": {"fp32": 0.98, "int8": 0.996}}
    larger = GRAPH.replace('producer_name: "tests"', f'producer_name: "{"x" * 50}"')
    worse = edited(tmp_path / "w.zoo", graph=larger, accuracy=accuracy, cost=about["cost"] | {"parameters": 13})
    before = edited(tmp_path / "b.zoo", accuracy=of_4000)
    found = run(before, worse, GateConfig(benchmarks=(Benchmark(), Benchmark(precision="int8"))), pairs=1)
    reasons = {
        (entry.benchmark.precision, check.name): (check.verdict, check.reason)
        for entry in found.entries
        for check in entry.checks
    }
    assert reasons["fp32", "bytes"][0] == "fail"
    assert reasons["fp32", "parameters"] == ("fail", "12 -> 13 (at most 0 % more)")
    assert reasons["fp32", "accuracy"] == ("fail", "top1 100.00 % -> 98.00 % (at most 0.5 % worse)")
    assert reasons["int8", "accuracy"] == ("pass", "top1 100.00 % -> 99.60 %")
    assert found.verdict == "fail"
    assert "fp32 batch 1: accuracy: top1 100.00 % -> 98.00 % (at most 0.5 % worse) (and 4 more)" in found.reason


def test_different_work_is_never_compared(bundle: Path, tmp_path: Path) -> None:
    points = edited(tmp_path / "p.zoo", task="tagging")
    with pytest.raises(InputError, match=r"is for classification and .* for tagging"):
        run(bundle, points, GateConfig())
    graph = write_graph(tmp_path / "a.onnx")
    other = write_graph(tmp_path / "b.onnx", GRAPH.replace("uint8[N, 8, 8, 3]", "uint8[N, 9, 9, 3]"))
    with pytest.raises(InputError, match="they cannot be fed the same"):
        run(graph, other, GateConfig())
    with pytest.raises(InputError, match="not the same kind of thing"):
        run(bundle, graph, GateConfig())
    with pytest.raises(InputError, match="no such baseline or candidate"):
        run(bundle, tmp_path / "gone.zoo", GateConfig())
    of_two = write_graph(tmp_path / "two.onnx", GRAPH.replace("uint8[N, 8, 8, 3]", "uint8[2, 8, 8, 3]"))
    with pytest.raises(InputError, match="takes batches of 2 only, not of 1"):
        run(of_two, of_two, GateConfig())
    any_size = write_graph(tmp_path / "any.onnx", GRAPH.replace("uint8[N, 8, 8, 3]", "uint8[N, H, W, 3]"))
    with pytest.raises(InputError, match="every size but the batch fixed"):
        run(any_size, any_size, GateConfig())
    (tmp_path / "c.onnx").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is no ONNX file, or a damaged one"):
        run(graph, tmp_path / "c.onnx", GateConfig())
    only_int8 = tiny_bundle(tmp_path / "i.zoo", precisions=("int8",))
    with pytest.raises(InputError, match="has no fp32 graph"):
        run(bundle, only_int8, ONE)
    only_fp32 = tiny_bundle(tmp_path / "f.zoo", precisions=("fp32",))
    with pytest.raises(InputError, match="no precision in common"):
        run(only_fp32, only_int8, GateConfig())


def test_nothing_selected_is_an_error_and_not_a_pass(bundle: Path, tmp_path: Path) -> None:
    words = ["gate", "--baseline", str(bundle), "--candidate", str(bundle), "--only", "*fp64*"]
    with pytest.raises(InputError, match=r"no benchmark matches '\*fp64\*'; there are: onnxruntime fp32 batch 1"):
        get_command(app)(words, standalone_mode=False)
    with pytest.raises(InputError, match="give --baseline and --candidate"):
        get_command(app)(["gate"], standalone_mode=False)


def test_a_killed_child_is_an_entry_with_its_reason_and_the_suite_goes_on(bundle: Path) -> None:
    def kill_a_candidate() -> None:
        while not (found := [c for c in psutil.Process().children() if "bench.gate.child" in c.cmdline()]):
            time.sleep(0.01)
        found[0].kill()

    killer = threading.Thread(target=kill_a_candidate)
    killer.start()
    config = GateConfig(sentinel=False, benchmarks=(Benchmark(threads=1), Benchmark(threads=1, precision="int8")))
    found = run(bundle, bundle, config, pairs=1)
    killer.join()
    assert [entry.verdict for entry in found.entries] == ["error", "inconclusive"]
    assert "the child process was killed by SIGKILL" in (found.entries[0].error or "")
    assert found.verdict == "error"


def test_an_engine_that_does_not_load_says_why(bundle: Path, tmp_path: Path) -> None:
    found = run(bundle, bundle, GateConfig(benchmarks=(Benchmark(device="tpu"),)))
    assert "onnxruntime has no device 'tpu'" in (found.entries[0].error or "")
    with pytest.raises(InputError, match="no backend called 'nonsense'"):
        run(bundle, bundle, GateConfig(benchmarks=(Benchmark(backend="nonsense"),)))


def test_a_process_that_says_nothing_is_not_waited_for_for_ever(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 0.2)
    monkeypatch.setattr(processes, "CHILD", [sys.executable, "-c", "import time; time.sleep(60)"])
    found = run(bundle, bundle, ONE)
    assert "no reply for 0 seconds" in (found.entries[0].error or "")


def test_ctrl_c_keeps_what_was_measured(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "gate.json"
    words = ["gate", "--baseline", bundle, "--candidate", bundle, "--record", 1000, "-o", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo.cli", "bench", *map(str, words)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    seen: set[int] = set()
    while len(seen) < 5:  # two pairs were finished when the fifth process appears
        seen |= {child.pid for child in psutil.Process(process.pid).children()}
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED, errors
    kept = read_receipt(out)
    assert kept.interrupted
    assert kept.verdict == "inconclusive"
    assert len(kept.entries[0].pairs) >= 2


def test_a_clock_that_jumps_costs_the_round_and_not_the_run() -> None:
    state = random.Random(0)

    def arm(calls: int) -> list[int]:
        return [-5 if state.random() < 0.02 else 1000 for _ in range(calls)]

    rounds = take_turns({"baseline": arm, "candidate": arm}, PairSize(calls=5, rounds=20), random.Random(1))
    assert len(rounds) == 20
    assert all(time > 0 for each in rounds for calls in each.values() for time in calls)
    with pytest.raises(ZooError, match="the clock of this machine jumps"):
        take_turns({"baseline": lambda n: [0] * n}, PairSize(calls=5, rounds=20), random.Random(1))


def test_a_turn_discards_calls_until_the_other_threads_sleep_and_can_be_slowed_down() -> None:
    now = 0

    def clock() -> int:
        nonlocal now
        now += 1_000
        return now

    calls = []
    times = turn(calls.append, iter(range(10_000)), 5, injected=0.0, clock=clock)
    assert times == [1_000] * 5
    assert len(calls) > 500  # a millisecond's worth, and the 5
    slowed = turn(calls.append, iter(range(10_000)), 5, injected=9.0, clock=clock)
    assert set(slowed) <= {10_000, 11_000, 12_000, 13_000}  # ten times, and the looks at the clock that it takes
    backwards = iter(range(10**9, 0, -1000))
    turn(lambda images: None, iter(range(100)), 5, injected=0.0, clock=lambda: next(backwards))  # it ends


def test_slow_networks_get_fewer_calls_and_rounds() -> None:
    assert PairSize.of(1e6, 2) == PairSize(CALLS, ROUNDS)
    assert PairSize.of(1e4, 2).calls == 300
    assert PairSize.of(1e9, 2) == PairSize(SLOW_CALLS, FEWEST_ROUNDS)


def test_the_table_of_a_toml_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text(
        "[tool.zoo.gate]\ntolerance = 0.02\nalpha = 0.001\n"
        '[[tool.zoo.gate.benchmarks]]\nprecision = "int8"\nbatch = 8\ntarget = 0.1\nmetrics = ["time", "load"]\n'
        '[[tool.zoo.gate.benchmarks]]\nname = "latency"\n'
    )
    config = read_config(file)
    assert [benchmark.title for benchmark in config.benchmarks] == ["onnxruntime int8 batch 8", "latency"]
    rules = [config.rule(benchmark, 3) for benchmark in config.benchmarks]
    assert [(rule.tolerance, rule.target, rule.alpha, rule.family) for rule in rules] == [
        (0.02, 0.1, 0.001, 3),
        (0.02, 0.05, 0.001, 3),
    ]
    monkeypatch.chdir(tmp_path)
    assert read_config(None) == config
    file.write_text("[project]\n")
    assert read_config(None) == GateConfig()
    for text, complaint in (
        ("[project]\n", r"has no table \[tool.zoo.gate\]"),
        ("[tool.zoo.gate]\ntolerence = 1\n", "unknown key 'tolerence'; did you mean 'tolerance'"),
        ("[[tool.zoo.gate.benchmarks]]\nprecission = 'int8'\n", "unknown key 'precission'; did you mean 'precision'"),
        ("[tool.zoo.gate]\ntolerance = 0.1\n", r"the tolerance \(0.1\) must be smaller than the target \(0.05\)"),
        ("[tool.zoo.gate]\nbenchmarks = [{}, {}]\n", "two benchmarks are called 'onnxruntime fp32 batch 1'"),
        ("[tool.zoo.gate]\nalpha = nan\n", "alpha: "),
        ("[tool.zoo.gate\n", "is no TOML"),
    ):
        file.write_text(text)
        with pytest.raises(InputError, match=complaint):
            read_config(file)
    with pytest.raises(InputError, match="no such file"):
        read_config(tmp_path / "gone.toml")


def test_what_cannot_be_written_is_one_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        run(bundle, bundle, ONE, out=tmp_path / "file" / "gate.json", pairs=1)
    assert VerdictError.exit_code == 1
