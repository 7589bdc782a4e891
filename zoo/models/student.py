"""What a family of students says of itself, beside its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


def _nothing(_size: int) -> dict[str, Any]:
    """No knob depends on the size of the image."""
    return {}


@dataclass(frozen=True)
class Student:
    """A family by the `name` that recipes use.

    `network(classes, **knobs)` makes a module that maps float [N, 3, H, W] to logits [N, classes]. Its keyword-only
    arguments are the knobs, whose annotations say which values a recipe may give (see `zoo.models.knobs`).
    `fitting(size)` gives the knobs that depend on the image, of `size` x `size` pixels; a recipe may override them.
    """

    name: str
    network: type[nn.Module]
    fitting: Callable[[int], dict[str, Any]] = _nothing
