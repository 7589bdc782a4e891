"""Runs a campaign's steps in order, each as a process of its own, until all are settled or the slice is over.

A slice is for machines that are lent for minutes: when its time is up, the step at work gets what Ctrl-C sends, keeps
what it has, and goes on in the next slice. The state is written after every step.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO

from bench.campaign.config import Step
from bench.campaign.needs import lacking
from bench.campaign.state import SCHEMA, Progress, State, Status, read_state
from bench.host import this_host
from zoo import __version__
from zoo.errors import INTERRUPTED
from zoo.files import locked
from zoo.progress import note, track

ZOO = [sys.executable, "-P", "-m", "zoo.cli"]
# From Ctrl-C to the end: a training writes its last state, a suite its rows.
GRACE = 20.0
# A step that is started with less than this left does nothing but start.
WORTH_STARTING = 15.0


class Runner:
    """One campaign in one folder."""

    def __init__(
        self,
        name: str,
        steps: Sequence[Step],
        folder: Path,
        *,
        only: Container[str] | None = None,
        seconds: float | None = None,
    ) -> None:
        """`only`: names of the steps to run, all if None. `seconds`: of this slice; None: until everything is settled.

        `InputError` for a damaged state.
        """
        self.name, self.steps, self.folder = name, steps, folder
        self._chosen = [step for step in steps if only is None or step.name in only]
        self._deadline = None if seconds is None else time.monotonic() + seconds - GRACE
        self._fresh = True  # nothing ran yet in this slice
        self.progress = known(steps, folder)

    def run(self) -> dict[str, Progress]:
        """Every step's progress after this slice. Ctrl-C is raised again, when the state is written."""
        lock = self.folder / ".lock"
        with (
            locked(lock, waiting=lambda: note(f"{self.folder} is at work in another process; waiting for it")),
            track(self.name, total=sum(step.seconds for step in self._chosen)) as advance,
        ):
            self.progress = known(self.steps, self.folder)  # what another process did meanwhile
            for step in self._chosen:
                before = self.progress[step.name]
                if before.status != "done" and not self._settle(step, before):
                    break
                advance(step.seconds)
        return self.progress

    def _settle(self, step: Step, before: Progress) -> bool:
        """Bring one step to an end. False: the slice is over."""
        if (why := lacking(step.needs)) is not None:
            return self._note(step, before, "skipped", why)
        if (why := self._blocked(step)) is not None:
            return self._note(step, before, "blocked", why)
        left = None if self._deadline is None else self._deadline - time.monotonic()
        if left is not None and not self._fresh and left < max(WORTH_STARTING, _uncut(step, before)):
            return False
        self._fresh = False
        began = time.monotonic()
        status: Status = "cut"
        reason: str | None = "interrupted"
        try:
            status, reason = self._execute(step, before, left)
        finally:
            spent = before.seconds * (before.status == "cut") + time.monotonic() - began
            slices = before.slices + 1
            self._keep(
                step, Progress(status=status, command=step.text, seconds=round(spent, 1), slices=slices, reason=reason)
            )
        if status == "failed":
            note(f"{step.name}: {reason}")
        return status != "cut"

    def _execute(self, step: Step, before: Progress, left: float | None) -> tuple[Status, str | None]:
        words = [*ZOO, *_expanded(step.command)]
        if before.status == "cut" and step.resumed:
            words += step.resumed
        log = self.folder / "logs" / f"{step.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with track(step.name, total=1), log.open("ab") as output:
            start = output.tell()
            code = _ended(words, output, left)
        if code is None or code == INTERRUPTED:
            if step.resumed is not None:
                return "cut", "the slice was over"
            return "failed", "it does not fit into a slice, and cannot be continued: take a longer one"
        missing = [path for path in step.makes if not path.exists()]
        if code in step.accepts and not missing:
            return "done", None
        if code in step.accepts:
            return "failed", f"it ended well and did not make {missing[0]}"
        return "failed", f"exit {code}: {_last_line(log, start)}"

    def _blocked(self, step: Step) -> str | None:
        for pattern in step.after:
            awaited = [other for other in self.steps if fnmatchcase(other.name, pattern) and other.name != step.name]
            done = [other for other in awaited if self.progress[other.name].status == "done"]
            if not done:
                return f"{pattern} is not done"
        return None

    def _note(self, step: Step, before: Progress, status: Status, reason: str) -> bool:
        changes = {"status": status, "reason": reason, "command": step.text}
        self._keep(step, before.model_copy(update=changes))
        return True

    def _keep(self, step: Step, progress: Progress) -> None:
        self.progress[step.name] = progress
        State(
            schema=SCHEMA,
            campaign=self.name,
            changed=datetime.now(UTC).replace(microsecond=0),
            version=__version__,
            host=this_host(),
            steps=self.progress,
        ).write(self.folder)


def known(steps: Sequence[Step], folder: Path) -> dict[str, Progress]:
    """What is known of each step. One whose command has changed, or whose files are gone, has to be done again."""
    written = read_state(folder)
    found = {}
    for step in steps:
        progress = written.get(step.name)
        if progress is None or progress.command != step.text:
            progress = Progress(status="waiting", command=step.text, seconds=0, slices=0)
        elif progress.status == "done" and not all(path.exists() for path in step.makes):
            progress = progress.model_copy(update={"status": "waiting"})
        found[step.name] = progress
    return found


def _uncut(step: Step, before: Progress) -> float:
    """Seconds that must be left to start a step: all of them, if it cannot be continued."""
    return 0.0 if step.resumed is not None else max(step.seconds, before.seconds)


def _expanded(words: Sequence[str]) -> list[str]:
    """A path whose name has a * becomes the files of that name, in order; where there is none, it stays as it is."""
    found: list[str] = []
    for word in words:
        path = Path(word)
        matching = sorted(str(one) for one in path.parent.glob(path.name)) if "*" in path.name and "/" in word else []
        found += matching or [word]
    return found


def _ended(words: Sequence[str], output: BinaryIO, left: float | None) -> int | None:
    """The exit status of a command, or None when it was stopped because its time was up.

    It leads a process group of its own, so that its workers hear of the interruption as they do at a terminal.
    """
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        return process.wait(timeout=left)
    except subprocess.TimeoutExpired:
        _stop(process)
        return None
    except KeyboardInterrupt:
        _stop(process)
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """What Ctrl-C does, then time to write things down."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE)


def _last_line(log: Path, start: int) -> str:
    """The last line that a command wrote, which is its error."""
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("zoo: ") if lines else f"it said nothing; {log}"
