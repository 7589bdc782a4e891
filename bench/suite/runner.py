"""The suite: every case in a fresh child process, one after the other.

A fresh process, because what ran before (memory, threads, packed weights) changes what comes after. The parent sleeps
in a system call while a child measures. A child that crashes is a row with the reason, and the suite goes on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bench.cases import Case
from bench.gpu import BUSY, find, is_gpu
from bench.host import this_host
from bench.processes import ChildProcess, python_module
from bench.results import SCHEMA, EngineFacts, Results, Row
from bench.roofline.rows import Floors
from bench.suite.collect import Collection, turns
from bench.suite.fetch import fetch
from bench.suite.resume import earlier, taken_over, what_is_missing
from zoo import __version__
from zoo.errors import EnvironmentProblem, InputError
from zoo.progress import note, track

CHILD = python_module("bench.measure.child")

OnCase = Callable[[Case, Sequence[Row]], None]


def run(
    cases: Sequence[Case],
    *,
    out: str | Path | None = None,
    on_case: OnCase | None = None,
    argv: Sequence[str] | None = None,
    passes: int = 1,
    resume: bool = False,
) -> Results:
    """Measure `cases` in order, with progress on stderr; with several `passes` each as often, interleaved.

    `out` is written after every case, so that Ctrl-C (which is raised again) and worse keep what was measured.
    `on_case` is called after every case with its rows. `argv`: the command line to record, by default the process's.
    With `resume` only the rows are measured that `out` does not have yet; see `bench.suite.resume`.
    `InputError` when there is no case, which is a mistake and not a success, or for a GPU that is not there. Where no
    GPU is at all, that is the reason of those rows, and the other cases are measured.
    """
    if not cases:
        raise InputError("there is nothing to measure: no case was selected")
    for device in dict.fromkeys(case.device for case in cases if is_gpu(case.device)):
        with suppress(EnvironmentProblem):
            find(device)
    fetch(cases)
    out = None if out is None else Path(out)
    host, created = this_host(), datetime.now(UTC).replace(microsecond=0)
    found, floors = Collection(cases), Floors(cases, host)
    if resume and (before := earlier(out, cases, host, passes)) is not None:
        taken_over(found, before)
        created = before.created

    def results() -> Results:
        arguments = list(sys.argv if argv is None else argv)
        return Results(
            schema=SCHEMA,
            created=created,
            version=__version__,
            argv=arguments,
            host=host,
            ceilings=floors.ceilings,
            rows=found.rows,
        )

    with track("measuring", total=len(cases) * passes) as advance:
        for place, whole in turns(found, passes):
            case = what_is_missing(whole, found.of(place)) if resume else whole
            if case is None:
                advance()
                continue
            rows: list[Row] = []
            try:
                with track(case.title, total=1, quiet_log=True):
                    measure_case(case, rows)
            finally:
                rows = floors.limited(case, rows)
                found.add(place, rows)
                if out is not None:
                    results().write(out)
            if on_case is not None:
                on_case(case, rows)
            advance()
    return results()


def measure_case(case: Case, rows: list[Row]) -> None:
    """Append a row for each batch size of `case`, measured in a child process; when interrupted, those so far."""
    try:
        environment = find(case.device).environment if is_gpu(case.device) else {}
    except EnvironmentProblem as problem:
        rows += [_failed(case, batch, str(problem)) for batch in case.batches]
        return
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder:
        report, log = Path(folder, "report"), Path(folder, "log")
        report.touch()
        try:
            status = _child(case, report, log, environment)
        finally:
            measured, error = _read(report)
            rows += measured
        done = {row.batch for row in measured}
        if status == 0:
            reason = "the child process ended early and does not say why"
        else:
            reason = error or reason_of_end(status, log)
            if done == set(case.batches):
                note(f"{case.title}: its times are kept, what is measured after them is not whole: {reason}")
        rows += [_failed(case, batch, reason) for batch in case.batches if batch not in done]
    busy = max((row.gpu.busy or 0 for row in measured if row.gpu is not None), default=0)
    if busy >= BUSY:
        note(f"{case.title}: others used the GPU for {busy} % of the time before it: look at its spread")


def _child(case: Case, report: Path, log: Path, environment: Mapping[str, str]) -> int:
    """The child's exit status, negative for a signal. It never outlives this call."""
    with log.open("wb") as output:
        command = [*CHILD, str(report)]
        with ChildProcess(command, output=output, stdin=subprocess.PIPE, environment=environment) as child:
            child.popen.communicate(case.model_dump_json().encode())
    return child.popen.returncode


def _read(report: Path) -> tuple[list[Row], str | None]:
    """The rows of a child's report and its error; a line that was cut off when the child died does not count.

    A batch size's later row replaces its earlier one: it says more.
    """
    rows: dict[int, Row] = {}
    for line in report.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        entry = json.loads(line)
        if "error" in entry:
            return list(rows.values()), entry["error"]
        row = Row.model_validate(entry["row"])
        rows[row.batch] = row
    return list(rows.values()), None


def reason_of_end(status: int, log: Path) -> str:
    """One line on why a child ended: its signal, or its status and the last line of its log."""
    if status < 0:
        name = signal.Signals(-status).name
        hint = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
        return f"the child process was killed by {name}{hint}"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"the child process ended with status {status}" + (f": {lines[-1]}" if lines else "")


def _failed(case: Case, batch: int, reason: str) -> Row:
    return Row.of(case, batch, EngineFacts.asked(case), error=reason)
