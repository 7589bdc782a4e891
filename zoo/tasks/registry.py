"""Tasks by name. To add one: write its file, its half in `zoo/tasks/learning/`, and name its class here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from zoo.tasks.classification import Classification
from zoo.tasks.keypoints import Keypoints
from zoo.tasks.tagging import Tagging
from zoo.tasks.task import Task

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, Tagging, Keypoints)}

# For the fields of files and recipes, whose schemas list the names: those of all tasks, and those of the tasks whose
# logits become scores.
if TYPE_CHECKING:
    TaskName = str
    ScoringTaskName = str
else:
    TaskName = Literal[tuple(TASKS)]
    ScoringTaskName = Literal[tuple(name for name, task in TASKS.items() if task.activation)]
