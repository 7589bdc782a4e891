"""Runs a campaign's steps in order, each as a process of its own, until all are settled or the slice is over.

A slice is for machines that are lent for minutes: when its time is up, the steps at work get what Ctrl-C sends, keep
what they have, and go on in the next slice. The state is written after every step. With several jobs, steps that time
nothing run beside each other; all others have the machine to themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from bench.campaign.child import GRACE, OVER, Child
from bench.campaign.config import Step
from bench.campaign.needs import lacking
from bench.campaign.state import SCHEMA, Progress, State, Status, read_state
from bench.host import this_host
from zoo import __version__
from zoo.files import locked
from zoo.machine import cores
from zoo.progress import note, track

# A step that is started with less than this left does nothing but start.
WORTH_STARTING = 15.0
LOOK = 0.2  # seconds between two looks at several steps that run beside each other


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
        jobs: int = 1,
    ) -> None:
        """`only`: names of the steps to run, all if None. `seconds`: of this slice; None: until everything is settled.
        `jobs`: how many of the steps that need not be alone may run at once.

        `InputError` for a damaged state.
        """
        self.name, self.steps, self.folder = name, steps, folder
        self._chosen = [step for step in steps if only is None or step.name in only]
        self._deadline = None if seconds is None else time.monotonic() + seconds - GRACE
        self._jobs = jobs
        self._waiting: list[Step] = []
        self._running: dict[Child, ExitStack] = {}  # each with the display of its progress
        self.progress = known(steps, folder)

    def run(self) -> dict[str, Progress]:
        """Every step's progress after this slice. Ctrl-C is raised again, when the state is written."""
        lock = self.folder / ".lock"
        with (
            locked(lock, waiting=lambda: note(f"{self.folder} is at work in another process; waiting for it")),
            track(self.name, total=sum(step.seconds for step in self._chosen)) as advance,
        ):
            self.progress = known(self.steps, self.folder)  # what another process did meanwhile
            self._waiting = [step for step in self._chosen if self.progress[step.name].status != "done"]
            advance(sum(step.seconds for step in self._chosen if step not in self._waiting))
            why = "interrupted"
            try:
                self._work(advance)
                why = OVER
            finally:
                self._interrupt(why)
        return self.progress

    def _work(self, advance: Callable[[float], None]) -> None:
        fresh = True  # nothing ran yet in this slice
        while True:
            for step in self._settled():
                advance(step.seconds)
            for step in self._startable():
                if not fresh and not self._fits(step):
                    self._waiting.clear()  # the slice is over; what runs may end
                    break
                fresh = False
                self._start(step)
            if not self._running:
                return
            if (child := self._ended()) is None:
                return
            self._finish(child)
            advance(child.step.seconds)

    def _settled(self) -> list[Step]:
        """The waiting steps that need not be started: they cannot run here, or what they wait for is not there."""
        found = []
        for step in list(self._waiting):
            why: str | None = None
            status: Status = "skipped"
            if (why := lacking(step.needs)) is None and not self._awaits(step):
                status, why = "blocked", self._blocked(step)
            if why is not None:
                changes = {"status": status, "reason": why, "command": step.text}
                self._keep(step, self.progress[step.name].model_copy(update=changes))
                self._waiting.remove(step)
                found.append(step)
        return found

    def _startable(self) -> list[Step]:
        """What may be started now, in order. Nothing overtakes a step that has to be alone."""
        found: list[Step] = []
        for step in self._waiting:
            at_work = [child.step for child in self._running] + found
            if at_work and (step.alone or at_work[0].alone or len(at_work) >= self._jobs):
                break
            if not self._awaits(step):
                found.append(step)
            elif step.alone:
                break
        return found

    def _awaits(self, step: Step) -> bool:
        """Whether a step that it comes after is not settled yet."""
        unsettled = [child.step.name for child in self._running]
        unsettled += [other.name for other in self._waiting[: self._waiting.index(step)]]
        return any(fnmatchcase(name, pattern) for name in unsettled for pattern in step.after)

    def _blocked(self, step: Step) -> str | None:
        for pattern in step.after:
            awaited = [other for other in self.steps if fnmatchcase(other.name, pattern) and other.name != step.name]
            if not any(self.progress[other.name].status == "done" for other in awaited):
                return f"{pattern} is not done"
        return None

    def _left(self) -> float | None:
        return None if self._deadline is None else self._deadline - time.monotonic()

    def _fits(self, step: Step) -> bool:
        left = self._left()
        return left is None or left >= max(WORTH_STARTING, _uncut(step, self.progress[step.name]))

    def _start(self, step: Step) -> None:
        self._waiting.remove(step)
        # Each would start a thread on every core otherwise, and threads that wait for each other spin.
        shared = {} if step.alone or self._jobs == 1 else {"OMP_NUM_THREADS": str(max(1, cores() // self._jobs))}
        with ExitStack() as stack:
            stack.enter_context(track(step.name, total=1))
            child = Child(step, self.progress[step.name], self.folder, environment=shared)
            self._running[child] = stack.pop_all()

    def _ended(self) -> Child | None:
        """The first step at work to end; None when the slice is over before."""
        while (left := self._left()) is None or left > 0:
            for child in self._running:
                if child.ended(left if len(self._running) == 1 else LOOK / len(self._running)):
                    return child
        return None

    def _finish(self, child: Child) -> None:
        progress = child.close()
        self._keep(child.step, progress)
        self._running.pop(child).close()
        if progress.status == "failed":
            note(f"{child.step.name}: {progress.reason}")

    def _interrupt(self, why: str) -> None:
        """Stop what is at work, all of it at once, and keep how far it came."""
        children = list(self._running)
        for child in children:
            child.interrupt(why)
        for child in children:
            self._finish(child)

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
