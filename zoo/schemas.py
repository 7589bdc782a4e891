"""Reading our own JSON files: a schema's name first, then every key checked, and one line when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from zoo.errors import InputError, nearest

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


def first_problem(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first complaint of pydantic, in one line: where and what. With the `model` a key that it does not know comes
    with the nearest one that it does.
    """
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if model is not None and first["type"] == "extra_forbidden":
        return f"unknown key '{where}'{nearest(str(first['loc'][-1]), keys_at(model, first['loc'][:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at a place in a file: those of the model there, and none where there is no model."""
    for part in location:
        if isinstance(part, int):
            continue
        fields = {(field.alias or name): field for name, field in model.model_fields.items()}
        inner = [t for t in (fields[part].annotation, *get_args(fields[part].annotation)) if _is_model(t)]
        if not inner:
            return []
        model = inner[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
