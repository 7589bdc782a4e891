"""`python -m bench.lifeline MODULE ARGUMENT...`: runs a module as `python -m` does, and ends when its parent is gone.

The child's half of `bench.processes`. The parent holds the writing end of a pipe and never writes to it. Its end is
therefore the end of the parent, however the parent ended: the system closes the pipe even after SIGKILL. A thread waits
for that in a system call, which takes no time from what is measured. Without the variable `LIFELINE` in its environment
the module runs by itself.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from threading import Thread

LIFELINE = "ZOO_LIFELINE"  # the number of the file descriptor of the pipe's reading end


def hold(descriptor: int) -> None:
    """Kill this process, and its process group if it leads one, as soon as the pipe's writing end is closed."""

    def wait() -> None:
        os.read(descriptor, 1)
        leads = os.getpgrp() == os.getpid()
        (os.killpg if leads else os.kill)(os.getpid(), signal.SIGKILL)

    Thread(target=wait, name="lifeline", daemon=True).start()


def main() -> None:
    """Take the lifeline out of the environment, which belongs to no process but this one, and become the module."""
    if descriptor := os.environ.pop(LIFELINE, ""):
        hold(int(descriptor))
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
