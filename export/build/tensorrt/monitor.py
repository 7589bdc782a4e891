"""TensorRT's progress in our own bar, and the only way to stop a build: its monitor says no to the next step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from zoo.progress import Advance, note

Result = TypeVar("Result")
# How many phases stand at the top is not known beforehand: each takes this share of what is left of the bar.
SHARE_OF_A_PHASE = 0.9


@dataclass
class _Phase:
    parent: _Phase | None
    weight: float  # share of the whole bar
    steps: int
    done: float = 0.0

    def reach(self, share: float) -> float:
        """Move to `share` of this phase, and by how much of the bar that is. Never backwards."""
        gained = max(0.0, min(1.0, share) * self.weight - self.done)
        phase: _Phase | None = self
        while phase is not None:
            phase.done += gained
            phase = phase.parent
        return gained


class Phases:
    """The share of a build that is done, from nested phases with steps. Called from TensorRT's own threads."""

    def __init__(self, advance: Advance) -> None:
        """`advance` moves a bar whose total is 1."""
        self._advance, self._lock = advance, threading.Lock()
        self._running: dict[str, _Phase] = {}
        self._whole = _Phase(None, 1.0, 1)

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase begins, inside another one or at the top."""
        with self._lock:
            above = self._running.get(parent or "", self._whole)
            left = above.weight - above.done
            part = left * SHARE_OF_A_PHASE if above is self._whole else min(above.weight / above.steps, left)
            self._running[name] = _Phase(above, max(0.0, part), max(1, steps))

    def step(self, name: str, step: int) -> None:
        """Step number `step`, counted from 0, is done."""
        with self._lock:
            if phase := self._running.get(name):
                self._advance(phase.reach((step + 1) / phase.steps))

    def finish(self, name: str) -> None:
        """A phase ends, with or without all of its steps."""
        with self._lock:
            if phase := self._running.pop(name, None):
                self._advance(phase.reach(1.0))


def monitor(trt: Any, advance: Advance) -> Any:
    """An `IProgressMonitor` that moves the bar; set its `cancelled` and TensorRT stops after the running step."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.cancelled = False
            self._phases = Phases(advance)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._phases.step(phase_name, step)
            return not self.cancelled

        def phase_finish(self, phase_name: str) -> None:
            self._phases.finish(phase_name)

    return Monitor()


def cancellable(work: Callable[[], Result], cancel: Callable[[], None]) -> Result:
    """Run `work` on a thread of its own; Ctrl-C calls `cancel`, waits for the work to end, and is raised again.

    TensorRT's build is one call that Python's signals cannot reach: the thread that waits here can be reached.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        future = pool.submit(work)
        try:
            return future.result()
        except KeyboardInterrupt:
            cancel()
            note("stopping after the step that TensorRT is at ...")
            raise
