"""What other installed packages add to the zoo, by Python's entry points.

A package names what it adds in its own `pyproject.toml`, as `name = "module:object"` in the group of its kind:

    [project.entry-points."distilzoo.backends"]
    mine = "my_package.backend:MyBackend"

`found(group)` says which names there are and imports nothing; `load(entry)` imports one of them. The groups are
`distilzoo.students`, `.losses`, `.backends`, `.sources` and `.loggers`.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from zoo.errors import EnvironmentProblem, unexpected


def found(group: str) -> dict[str, EntryPoint]:
    """The entry points of a group by name, in alphabetical order; none of them is imported.

    `EnvironmentProblem` when two installed packages use the same name.
    """
    return dict(_found(group, tuple(sys.path)))


@lru_cache(maxsize=64)  # the metadata of every installed package is read, which takes some 10 ms
def _found(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    del path  # decides what is installed
    entries: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        other = entries.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise EnvironmentProblem(
                f"{_package(other)} and {_package(entry)} both add a '{entry.name}' to {group}: uninstall one of them"
            )
    return entries


def load(entry: EntryPoint) -> Any:
    """The object that an entry point names. `EnvironmentProblem` says which package is at fault when it cannot be
    imported.
    """
    try:
        return entry.load()
    except Exception as error:  # the module is another package's: anything may be raised
        raise EnvironmentProblem(
            f"'{entry.name}', which {_package(entry)} adds to {entry.group}, cannot be imported: "
            f"{unexpected(error)}; update that package or uninstall it"
        ) from error


def _package(entry: EntryPoint) -> str:
    return "a package" if entry.dist is None else f"the package {entry.dist.name}"
