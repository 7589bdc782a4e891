"""JSON Schemas of the files that other programs read or write, made from the models that read them here."""

from __future__ import annotations

import json
from collections.abc import Callable

from pydantic import BaseModel

from zoo.errors import InputError, nearest

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _results() -> type[BaseModel]:
    from bench.results import Results

    return Results


def _gate() -> type[BaseModel]:
    from bench.gate.receipt import Receipt

    return Receipt


def _suite() -> type[BaseModel]:
    from bench.suite.file import Suite

    return Suite


SCHEMAS: dict[str, Callable[[], type[BaseModel]]] = {
    "zoo.bench-1": _results,  # what `zoo bench run --out` writes
    "zoo.gate-1": _gate,  # what `zoo bench gate --out` writes
    "zoo.suite-1": _suite,  # what `zoo bench run --suite` reads, for editors that check TOML
}


def schema(name: str) -> str:
    """The text of one schema, JSON Schema 2020-12. `InputError` for a name that is not in `SCHEMAS`."""
    if name not in SCHEMAS:
        raise InputError(f"no schema '{name}'; there are: {', '.join(SCHEMAS)}{nearest(name, SCHEMAS)}")
    found = SCHEMAS[name]().model_json_schema(by_alias=True)
    return json.dumps({"$schema": DIALECT, **found, "title": name}, indent=1, ensure_ascii=False) + "\n"
