"""One step at work: a `zoo` command as a process of its own, until it ends or is told to stop."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bench.campaign.config import Step
from bench.campaign.state import Progress, Status
from bench.processes import ChildProcess, python_module
from zoo.errors import INTERRUPTED

ZOO = python_module("zoo.cli")
# From Ctrl-C to the end: a training writes its last state, a suite its rows.
GRACE = 20.0
OVER = "the slice was over"


class Child:
    """It leads a process group of its own, so that its workers hear of an interruption as they do at a terminal."""

    def __init__(self, step: Step, before: Progress, folder: Path, *, environment: Mapping[str, str]) -> None:
        """`folder`: the campaign's, whose `logs/` get what the command says. `environment`: added to this one's."""
        self.step, self.before = step, before
        words = [*ZOO, *_expanded(step.command)]
        if before.status == "cut" and step.resumed:
            words += step.resumed
        self._log = folder / "logs" / f"{step.name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._began = time.monotonic()
        self._why: str | None = None  # it was interrupted
        with self._log.open("ab") as output:
            self._start = output.tell()
            self._process = ChildProcess(words, output=output, environment=environment)

    def ended(self, seconds: float | None) -> bool:
        """Whether it has ended; waits for that so long at most, None: as long as it takes."""
        try:
            self._process.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def interrupt(self, why: str) -> None:
        """What Ctrl-C does. `close` waits until it has written things down."""
        self._why = why
        self._process.signal(signal.SIGINT)

    def close(self) -> Progress:
        """The step's progress now that its process is over; whatever is left of its group is killed."""
        if self._why is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.popen.wait(timeout=GRACE)
        status, reason = self._verdict(self._process.end())
        spent = self.before.seconds * (self.before.status == "cut") + time.monotonic() - self._began
        slices = self.before.slices + 1
        return Progress(status=status, command=self.step.text, seconds=round(spent, 1), slices=slices, reason=reason)

    def _verdict(self, code: int) -> tuple[Status, str | None]:
        missing = [path for path in self.step.makes if not path.exists()]
        if code in self.step.accepts and not missing:
            return "done", None  # also when it was interrupted, and came to its end in the time that it had left
        if self._why is not None or code == INTERRUPTED:
            if self.step.resumed is not None or self._why != OVER:
                return "cut", self._why or "interrupted"
            return "failed", "it does not fit into a slice, and cannot be continued: take a longer one"
        if code not in self.step.accepts:
            return "failed", f"exit {code}: {_last_line(self._log, self._start)}"
        return "failed", f"it ended well and did not make {missing[0]}"


def _expanded(words: Sequence[str]) -> list[str]:
    """A path whose name has a * becomes the files of that name, in order; where there is none, it stays as it is."""
    found: list[str] = []
    for word in words:
        path = Path(word)
        matching = sorted(str(one) for one in path.parent.glob(path.name)) if "*" in path.name and "/" in word else []
        found += matching or [word]
    return found


def _last_line(log: Path, start: int) -> str:
    """The last line that a command wrote, which is its error."""
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("zoo: ") if lines else f"it said nothing; {log}"
