"""`python -m bench.suite.fetch MODEL`: a library's own weights, downloaded before anything is measured.

In a process of its own, because torch need not be in the memory of the one that waits while others measure. What cannot
be had is known before the first case takes its time, and no download is part of a time to load.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

from bench.cases import HUB, Case
from bench.processes import ChildProcess, python_module
from zoo.errors import EnvironmentProblem, InputError, ZooError
from zoo.progress import track


def fetch(cases: Iterable[Case]) -> None:
    """Have the weights of all models here that their libraries keep. `InputError` for one that they do not know,
    `EnvironmentProblem` when they cannot be fetched.
    """
    for model in dict.fromkeys(case.foreign for case in cases if case.foreign and str(case.subject) == HUB):
        command = [*python_module("bench.suite.fetch"), model]
        with track(f"the weights of {model}", total=1), ChildProcess(command, output=subprocess.PIPE) as child:
            said, _ = child.popen.communicate()
        if status := child.popen.returncode:
            lines = said.decode("utf-8", "replace").strip().splitlines()
            kind = InputError if status == InputError.exit_code else EnvironmentProblem
            raise kind(lines[-1] if lines else f"the weights of {model} cannot be fetched")


def main(model: str) -> int:
    """Open the model once, so that its library keeps the weights; the exit status is that of its error."""
    from zoo.learn.teachers.library import from_library

    try:
        from_library(model, HUB)
    except ZooError as error:
        print(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
