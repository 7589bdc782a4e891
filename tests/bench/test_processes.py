"""Processes of the bench: none outlives the one that started it, however that ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from bench.cases import Case, Limits
from bench.processes import ChildProcess, python_module
from tests.support.tiny import tiny_bundle

PATIENCE = 120.0  # seconds until a test gives up; nothing is asserted about how long it takes
SLEEP = [*python_module("timeit"), "-n1", "-r1", "import time; time.sleep(600)"]
SUITE = "import sys; from bench.cases import Case; from bench.suite.runner import run\n"
SUITE += "run([Case.model_validate_json(sys.argv[1])])"
CAMPAIGN = """
about = ""
[[steps]]
name = "endless"
run = "bench run {file} --batch 1 --time-limit 600"
makes = ["{out}/never"]
seconds = 600
"""


def wait_for(found: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def gone(process: psutil.Process) -> bool:
    """Whether it has ended; in a container nobody may be there to collect the status of an orphan."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def suite(bundle: Path) -> list[str]:
    limits = Limits(seconds=600, interval_width=1e-9)
    case = Case(name="tiny", subject=bundle, backend="onnxruntime", batches=(1,), limits=limits)
    return [sys.executable, "-c", SUITE, case.model_dump_json()]


def gate(bundle: Path) -> list[str]:
    words = ["gate", "--baseline", str(bundle), "--candidate", str(bundle), "--record", "1000"]
    return [sys.executable, "-m", "zoo.cli", "bench", *words]


def tune(bundle: Path) -> list[str]:
    return [sys.executable, "-m", "zoo.cli", "tune", str(bundle), "--time-limit", "600", "--passes", "1"]


def campaign(bundle: Path) -> list[str]:
    file = bundle.parent / "endless.toml"
    file.write_text(CAMPAIGN.replace("{file}", str(bundle)))
    return [sys.executable, "-m", "zoo.cli", "bench", "campaign", str(file)]


@pytest.mark.parametrize(
    ("starts", "program"),
    [
        (suite, "bench.measure.child"),
        (gate, "bench.gate.child"),
        (tune, "bench.measure.child"),
        (campaign, "bench.measure.child"),
    ],
)
def test_a_child_ends_when_its_parent_is_killed(starts, program, tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny.zoo")
    with started(starts(bundle), tmp_path) as parent:
        family: list[psutil.Process] = []

        def measuring() -> bool:
            family[:] = psutil.Process(parent.pid).children(recursive=True)
            return any(program in child.cmdline() for child in family if not gone(child))

        wait_for(measuring)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        wait_for(lambda: all(gone(child) for child in family))


def test_ctrl_c_while_a_child_is_being_started_leaves_none(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*command, **settings):
        started.append(popen(*command, **settings))  # it is forked, and has not come to its program
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ChildProcess(SLEEP, output=subprocess.DEVNULL)
    assert started[0].wait(timeout=PATIENCE) == -signal.SIGKILL


def test_a_handle_that_is_dropped_ends_its_child() -> None:
    child = ChildProcess(SLEEP, output=subprocess.DEVNULL)
    process = child.popen
    del child
    assert process.wait(timeout=PATIENCE) == -signal.SIGKILL


def test_the_end_of_a_block_kills_the_child_and_what_it_has_started(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; subprocess.Popen(['sleep', '600']); print('there', flush=True)"
    with ChildProcess(
        [sys.executable, "-c", f"{script}; time.sleep(600)"], output=subprocess.PIPE, environment={"A": "b"}
    ) as child:
        assert child.popen.stdout is not None
        assert child.popen.stdout.readline() == b"there\n"
        family = psutil.Process(child.popen.pid).children()
        assert len(family) == 1
    child.popen.stdout.close()
    assert child.popen.returncode == -signal.SIGKILL
    wait_for(lambda: gone(family[0]))


def test_a_module_runs_as_with_python_m_and_finds_no_trace_of_the_lifeline(tmp_path: Path) -> None:
    (tmp_path / "shown.py").write_text(
        "import os, sys\nprint(__name__, __spec__.name, sys.argv[1:], 'ZOO_LIFELINE' in os.environ)\nsys.exit(7)\n"
    )
    places = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])}
    command = [*python_module("shown"), "one", "two words"]
    with ChildProcess(command, output=subprocess.PIPE, environment=places) as child:
        said, _ = child.popen.communicate()
    assert said.decode().strip() == "__main__ shown ['one', 'two words'] False"
    assert child.end() == 7
    alone = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=False)
    assert (alone.stdout, alone.returncode) == (said.decode(), 7)
