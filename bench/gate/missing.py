"""Which benchmarks only one side has. One that is gone cannot have been judged, so that nothing passes without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from bench.gate.receipt import Missing

Parts = TypeVar("Parts", bound=tuple[object, ...])


def compared(
    before: Mapping[Parts, str], after: Mapping[Parts, str], allowed: Sequence[str] = ()
) -> tuple[list[Missing], list[str]]:
    """What is missing in `after`, and what has appeared in it; both map the parts of a name to the whole name.

    A new name that differs from a missing one in one part alone (the model, the engine ...) is probably the same thing
    renamed: that is said, and decides nothing. `allowed`: names, or patterns of them, that may be missing.
    """
    gone = [parts for parts in before if parts not in after]
    new = [parts for parts in after if parts not in before]
    left, found = list(new), []
    for parts in gone:
        alike = next((each for each in left if _one_differs(parts, each)), None)
        if alike is not None:
            left.remove(alike)
        name = before[parts]
        meant = any(name == each or fnmatchcase(name, each) for each in allowed)
        found.append(Missing(name=name, renamed=None if alike is None else after[alike], allowed=meant))
    return found, [after[parts] for parts in new]


def _one_differs(one: tuple[object, ...], other: tuple[object, ...]) -> bool:
    return sum(a != b for a, b in zip(one, other, strict=True)) == 1
