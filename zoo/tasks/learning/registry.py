"""The tasks that can be learned, by name: of each task in `zoo.tasks.registry` the class of the same name here."""

from __future__ import annotations

from importlib import import_module

from zoo.tasks import registry
from zoo.tasks.learning.task import LearnableTask


def _learnable(name: str) -> type[LearnableTask]:
    """The class in the file of that name."""
    found: type[LearnableTask] = getattr(import_module(f"zoo.tasks.learning.{name}"), registry.TASKS[name].__name__)
    return found


TASKS: dict[str, type[LearnableTask]] = {name: _learnable(name) for name in registry.TASKS}
