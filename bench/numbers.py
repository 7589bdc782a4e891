"""Lists and names on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from zoo.errors import InputError, nearest

Name = TypeVar("Name", bound=str)


def words(text: str) -> list[str]:
    """`"a, b,a"` -> `["a", "b"]`."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def numbers(text: str, option: str) -> list[int]:
    """`"1,32"` -> `[1, 32]`; an empty text is an empty list. `InputError` names the option for anything else."""
    found = words(text)
    if not all(word.isdecimal() and int(word) > 0 for word in found):
        raise InputError(f"{option} {text}: write numbers like 1,32")
    return [int(word) for word in dict.fromkeys(found)]


def known(name: str, names: Sequence[Name], kind: str) -> Name:
    """`name` as one of `names`. `InputError` says which there are, and the nearest."""
    for candidate in names:
        if candidate == name:
            return candidate
    raise InputError(f"no {kind} called '{name}'; there are: {', '.join(names)}{nearest(name, names)}")
