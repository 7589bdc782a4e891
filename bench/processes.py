"""Starting a process of one's own that never outlives this one: the one way in which the bench starts any child.

    with ChildProcess([*python_module("bench.measure.child"), "report"], output=log, stdin=subprocess.PIPE) as child:
        child.popen.communicate(b"...")
    child.popen.returncode

A child is killed when its block ends, with all that it has started itself. It also ends when this process is killed,
and when Ctrl-C comes while it is being started: it then waits at a pipe (see `bench.lifeline`) that nobody holds.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from bench.lifeline import LIFELINE
from zoo.errors import EnvironmentProblem


def python_module(name: str) -> list[str]:
    """The command that runs a module of ours as a child. -P: a folder called `bench` in the working directory is not
    ours.
    """
    return [sys.executable, "-P", "-m", "bench.lifeline", name]


class ChildProcess:
    """A process that leads a process group of its own; `popen` has its streams and its exit status."""

    popen: subprocess.Popen[bytes]

    def __init__(
        self,
        command: Sequence[str],
        *,
        output: IO[bytes] | int,
        stdin: int = subprocess.DEVNULL,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """`command`: begins with `python_module(...)`. `output`: takes stdout and stderr. `environment`: variables
        beside those of this process. `descriptors`: open files of this process that the child gets, too.

        `EnvironmentProblem` on Windows, whose processes inherit no file descriptors.
        """
        if os.name == "nt":
            raise EnvironmentProblem("the bench starts its processes on Linux and macOS, and not on Windows")
        theirs, ours = os.pipe()
        # A file object and no number: whatever drops it, a Ctrl-C between two lines included, closes the pipe.
        self._lifeline = os.fdopen(ours, "wb")
        try:
            self.popen = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {}), LIFELINE: str(theirs)},
                pass_fds=[theirs, *descriptors],
                process_group=0,
            )
        except BaseException:
            self._lifeline.close()
            raise
        finally:
            os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def signal(self, number: int) -> None:
        """Send a signal to the child and to all that it has started; nothing happens when they have ended."""
        with suppress(ProcessLookupError, PermissionError):  # the second: macOS, of a group that has ended
            os.killpg(self.popen.pid, number)

    def end(self) -> int:
        """Kill what is left of the child's group and wait for it. The exit status, negative for a signal."""
        self.signal(signal.SIGKILL)
        status = self.popen.wait()
        self._lifeline.close()
        return status
