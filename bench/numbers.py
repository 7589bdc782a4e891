"""Lists on a command line."""

from __future__ import annotations

from zoo.errors import InputError


def words(text: str) -> list[str]:
    """`"a, b,a"` -> `["a", "b"]`."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def numbers(text: str, option: str) -> list[int]:
    """`"1,32"` -> `[1, 32]`; an empty text is an empty list. `InputError` names the option for anything else."""
    found = words(text)
    if not all(word.isdecimal() and int(word) > 0 for word in found):
        raise InputError(f"{option} {text}: write numbers like 1,32")
    return [int(word) for word in dict.fromkeys(found)]
