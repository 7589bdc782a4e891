"""`--set KEY=VALUE`: one value of a recipe, read as its key's type says."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from zoo.errors import InputError

DATES = datetime.date, datetime.time  # a datetime is a date


def override(raw: dict[str, Any], setting: str, schema: type[BaseModel]) -> None:
    """Change one value of a recipe's table, `a.b=value`; a table in a list is found by its position or its `name`.

    The key comes first, and says how its value is read: a path or a name is the text as it stands (a folder may be
    called 2024-11-30 or 1e5), a list of texts may be one of them, and anything else is a TOML value. `InputError` for
    what is no setting or leads nowhere.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set takes key=value, not '{setting}'")
    parts = key.strip().split(".")
    table: Any = raw
    kinds: Sequence[Any] = [schema]
    for place, part in enumerate(parts):
        kinds = _inside(kinds, part)
        if place < len(parts) - 1:
            table = _step(table, part, setting)
    if key != key.rstrip():  # written as in a file: key = value
        text = text.strip()
    value: Any = text_or_value(text) if is_text(kinds) else toml_or_word(text)
    if not isinstance(value, list) and kinds and all(get_origin(kind) is tuple for kind in kinds):
        value = [text_or_value(text)] if is_text(_inside(kinds, "0")) else value  # a list of one word
    if isinstance(table, list):
        table[_index(table, parts[-1], setting)] = value
    else:
        table[parts[-1]] = value


def toml_or_word(text: str) -> Any:
    """A TOML value, or a bare word such as a path or a name. No key of ours takes a date: such a text is a word."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(value, DATES) else value


def text_or_value(text: str) -> str:
    """A text as it stands; without its quotes where it is quoted as in TOML, unless there is such a file."""
    if text[:1] in {'"', "'"} and not Path(text).exists():
        quoted = toml_or_word(text)
        return quoted if isinstance(quoted, str) else text
    return text


def is_text(kinds: Sequence[Any]) -> bool:
    """Whether a field of these types takes a text and nothing else: a path, a name, one of several words."""
    return bool(kinds) and all(
        kind in (str, Path) or (get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind)))
        for kind in kinds
    )


def _inside(kinds: Sequence[Any], part: str) -> list[Any]:
    """The types of what is called `part` in a value of one of these types; none where that is not known."""
    found: list[Any] = []
    for kind in kinds:
        origin = get_origin(kind)
        if origin in (tuple, list):
            found += _alternatives(get_args(kind)[0])
        elif origin in (dict, Mapping):
            found += _alternatives(get_args(kind)[1])
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if part in (field.alias or name, name):
                    found += _alternatives(field.annotation)
    return found


def _alternatives(kind: Any) -> list[Any]:
    """The types that a union allows, None left out."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [each for part in get_args(kind) for each in _alternatives(part)]
    return [] if kind is NoneType else [kind]


def _step(table: Any, part: str, setting: str) -> Any:
    if isinstance(table, list):
        return table[_index(table, part, setting)]
    inner = table.setdefault(part, {})
    if not isinstance(inner, dict | list):
        raise InputError(f"--set {setting}: '{part}' is a value, not a table")
    return inner


def _index(table: list[Any], part: str, setting: str) -> int:
    """Tables in a list are found by position or by their `name`."""
    names = [str(entry.get("name")) if isinstance(entry, dict) else "" for entry in table]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(table):
        return int(part)
    raise InputError(f"--set {setting}: no '{part}' there; there are: {', '.join(names)}")
