"""Networks: the students' families, normalisation, building by name, weights, checkpoints, cost.

`STUDENTS` and `build` are imported when they are first used: what only reads a recipe needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.models.registry import STUDENTS as STUDENTS
    from zoo.models.registry import build as build

__all__ = ["STUDENTS", "build"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zoo.models' has no attribute {name!r}")
    from zoo.models import registry

    return getattr(registry, name)
