"""Reading our own JSON files: a schema's name first, then every key checked, and one line when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from zoo.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A part of such a file: it never changes, and a key that is not known is refused, never half understood."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_json(path: Path, model: type[Model], schema: str, *, missing: str) -> Model:
    """The file at `path` as a `model`. `InputError` says `missing` when there is none, or what is wrong with it."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(missing) from None
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged or truncated: {error}") from None
    found = raw.get("schema") if isinstance(raw, dict) else None
    if found != schema:
        raise InputError(f"{path}: schema {found!r} is not known to this version, which reads '{schema}'")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None


def first_problem(error: ValidationError) -> str:
    """The first complaint of pydantic, in one line: where and what."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
