"""What can go wrong, by what the caller can do about it.

Every error that a user can meet is a `ZooError` with one clear line. The command line prints that line and exits with
`exit_code`; the codes are the same everywhere: 0 good, 1 the verdict is bad, 2 usage or input, 3 inconclusive,
4 environment, 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from importlib.util import find_spec


class ZooError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = 2


class VerdictError(ZooError):
    """The work was done and its result is not good enough: parity, accuracy or self-test failed."""

    exit_code = 1


class InputError(ZooError):
    """Something the caller gave is wrong: a path, an image, a recipe key, a bundle."""

    exit_code = 2


class Inconclusive(ZooError):  # noqa: N818  it is a verdict and no error
    """The work was done and its result says neither good nor bad: more measuring, or a quieter machine, is needed."""

    exit_code = 3


class EnvironmentProblem(ZooError):  # noqa: N818  "EnvironmentError" is Python's old alias of OSError
    """The machine lacks what was asked for: a package, a device, disk space, a permission."""

    exit_code = 4


INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def nearest(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` when a known word is close to the given one, otherwise an empty string."""
    match = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{match[0]}'?" if match else ""


def missing_package(package: str, extra: str, purpose: str) -> EnvironmentProblem:
    """The error for an optional package that is not installed, with the line that installs it."""
    wanted = f"distilzoo[{extra}]" if extra else "distilzoo"
    return EnvironmentProblem(f"{purpose} needs {package}, which is not installed: pip install '{wanted}'")


def need(*packages: str, extra: str, purpose: str) -> None:
    """`EnvironmentProblem` names the first package that is not installed, and the line that installs it.

    Nothing is imported: that takes seconds, and whoever misspelt something should not wait for it.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_package(package, extra, purpose)


def first_line(error: BaseException) -> str:
    """What another library's error says, in one line; its type when it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip() if text else type(error).__name__


def unexpected(error: BaseException) -> str:
    """An error that nobody foresaw, in one line: its type and what it says."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
