"""The parent's handle of one process of a pair. It never outlives its `with` block."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from bench.gate.child import Job, Ready, Turn
from bench.processes import ChildProcess, python_module
from bench.suite.runner import reason_of_end
from zoo.errors import ZooError

CHILD = python_module("bench.gate.child")
# The largest networks load in a minute or two; what says nothing for ten hangs.
PATIENCE = 600.0
# The size of the environment moves the stack, and with it which data share a cache line: up to some percent of the time
# of one and the same program. Random sizes turn that from a bias into noise, which the pairs average.
PADDING = 4096


class ArmError(ZooError):
    """A process of a pair ended, hung or reported an error; the text is the reason in one line."""

    exit_code = 4


class ArmProcess:
    """A child that loads its subject when its block begins, and then waits for turns."""

    def __init__(self, name: str, job: Job, log: Path, draw: random.Random) -> None:
        self._name, self._job, self._log = name, job, log
        ours, theirs = os.pipe()
        self._replies = ours
        self._buffer = b""
        try:
            with log.open("wb") as output:
                self._child = ChildProcess(
                    [*CHILD, str(theirs)],
                    output=output,
                    stdin=subprocess.PIPE,
                    environment={"ZOO_GATE_PADDING": "x" * draw.randrange(PADDING)},
                    descriptors=[theirs],
                )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    def __enter__(self) -> Self:
        try:
            self._say(self._job.model_dump_json())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.end()
        with suppress(OSError):  # a line that a dead child never took
            self._orders.close()
        os.close(self._replies)

    @property
    def _orders(self) -> IO[bytes]:
        """The child's stdin."""
        assert self._child.popen.stdin is not None
        return self._child.popen.stdin

    def ready(self) -> Ready:
        """Wait until it is loaded and warm."""
        return Ready.model_validate(self._hear())

    def turn(self, calls: int) -> list[int]:
        """Let it make `calls` calls now; their times in nanoseconds."""
        self._say(Turn(calls=calls).model_dump_json())
        times: list[int] = self._hear()
        return times

    def finish(self) -> int:
        """End it; its peak memory in bytes."""
        self._orders.close()
        peak: int = self._hear()["peak_bytes"]
        return peak

    def _say(self, line: str) -> None:
        try:
            self._orders.write(f"{line}\n".encode())
            self._orders.flush()
        except BrokenPipeError:
            self._hear()  # it has ended, and may have said why

    def _hear(self) -> Any:
        """The next reply of the child. The parent sleeps until it comes: spinning would take a core."""
        while b"\n" not in self._buffer:
            if not select.select([self._replies], [], [], PATIENCE)[0]:
                raise ArmError(f"{self._name}: no reply for {PATIENCE:.0f} seconds")
            part = os.read(self._replies, 2**16)
            if not part:
                raise ArmError(f"{self._name}: {reason_of_end(self._child.popen.wait(), self._log)}")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        found = json.loads(line)
        if isinstance(found, dict) and "error" in found:
            raise ArmError(f"{self._name}: {found['error']}")
        return found
