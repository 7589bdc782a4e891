"""The surface of real TensorRT versions, and classes that are held to it: members, signatures and attributes."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

SURFACE: dict[str, Any] = json.loads((Path(__file__).parent / "surface.json").read_text())


def parameters(signature: str) -> list[str] | None:
    """Names of the parameters after self; None where the signature is hidden behind `*args`."""
    inside = re.search(r"\((.*)\) ->", signature)
    if inside is None or "*args" in inside.group(1):
        return None
    return [part.split(":")[0].strip() for part in inside.group(1).split(", ") if ":" in part][1:]


def checked(name: str, signature: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which is called as the real one can be called."""
    known = parameters(signature)

    def call(self: Any, *positional: Any, **named: Any) -> Any:
        if known is not None:
            assert len(positional) + len(named) <= len(known), f"{name} takes {known}"
            assert set(named) <= set(known), f"{name} has no {set(named) - set(known)}"
        return method(self, *positional, **named)

    return call


def build_class(name: str, behaviour: type, surface: dict[str, str]) -> type:
    """A class of the fake: the behaviour, held to the real class's members."""
    body: dict[str, Any] = {}
    for member, value in vars(behaviour).items():
        if member.startswith("_") and member != "__init__":
            continue
        assert member in surface, f"TensorRT has no {name}.{member}"
        if inspect.isfunction(value):
            body[member] = checked(f"{name}.{member}", surface[member], value)

    def guard(self: Any, attribute: str, value: Any) -> None:
        assert attribute.startswith("_") or attribute in surface, f"TensorRT has no {name}.{attribute}"
        object.__setattr__(self, attribute, value)

    if name not in {"ILogger", "IProgressMonitor"}:  # which are subclassed
        body["__setattr__"] = guard
    return type(name, (behaviour,), body)
