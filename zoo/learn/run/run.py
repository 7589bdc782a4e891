"""A run: the folder that one execution of a recipe writes, stage by stage.

runs/digits/
  recipe.toml         every value that was used, defaults written out
  environment.json    machine and versions
  teacher/            model.safetensors, metrics.json, logs/ (metrics.csv, TensorBoard)
  vgg-control/  vgg/  the same for each student, without and with the teacher
  specialists.json    what students that know a part of the labels each know together
runs/soft-labels/     teachers' answers, shared by all runs beside this one
runs/features/        features of frozen bodies, likewise
"""

from __future__ import annotations

import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from zoo import data
from zoo.data import Splits
from zoo.data.seeded import views_of
from zoo.data.views import Views
from zoo.errors import InputError
from zoo.files import write_text
from zoo.learn.recipe.schema import Recipe, Student, Teacher, to_toml
from zoo.learn.run.checks import check
from zoo.learn.run.environment import environment, first_process
from zoo.learn.run.specialists import PartOfTeacher, part_of, together
from zoo.learn.run.stage import Stage, run_stage
from zoo.learn.teachers.base import OnlineTeacher
from zoo.learn.teachers.base import Teacher as Answering
from zoo.learn.teachers.choice import answers_of
from zoo.learn.teachers.onnx import GRAPHS, OnnxTeacher, open_teacher
from zoo.models import checkpoint
from zoo.models.evaluate import evaluate
from zoo.models.normalisation import Normalised
from zoo.tasks.learning import TASKS, AnyTask

RECIPE, ENVIRONMENT, SPECIALISTS = "recipe.toml", "environment.json", "specialists.json"


class Run:
    """One recipe in one folder. Its stages are `teacher()`, `control(student)` and `distilled(student)`, each of which
    returns a checkpoint and does nothing when that is already there.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, resume: bool = False) -> None:
        """Open the folder. `InputError` when it holds another run, or the same one and `resume` was not asked for."""
        self.recipe, self.folder = recipe, folder
        self._resume = resume or not first_process()
        written = folder / RECIPE
        if written.exists() and first_process():
            self._check_same(written)
        check(recipe)
        self.splits: Splits = data.load(recipe.data, recipe.seed)  # before anything is written: it can be refused
        self.task: AnyTask = TASKS[recipe.task](self.splits.labels, recipe.data.size)
        for student in recipe.students:
            if student.labels:
                self.task.columns(student.labels)
        if not written.exists() and first_process():
            write_text(written, to_toml(recipe))
            write_text(folder / ENVIRONMENT, json.dumps(environment(), indent=2) + "\n")

    def _check_same(self, written: Path) -> None:
        if not self._resume:
            raise InputError(f"{self.folder} already holds a run: --resume continues it, --out DIR starts another")
        old, new = (tomllib.loads(text) for text in (written.read_text(encoding="utf-8"), to_toml(self.recipe)))
        if different := [key for key in _differences(old, new) if not key.startswith("label.")]:  # it trains nothing
            raise InputError(f"{self.folder} was made with another recipe, which differs in {', '.join(different[:5])}")

    @cached_property
    def views(self) -> Views:
        """The recipe's augmentation."""
        return views_of(self.recipe.data)

    @property
    def teacher_is_a_graph(self) -> bool:
        """Whether the teacher is an ONNX file, of which there is no checkpoint."""
        return self._teacher.model.startswith(GRAPHS)

    def teacher(self) -> Path:
        """The teacher: trained here on all training labels, taken with its weights, or one trained before."""
        spec = self._teacher
        if self.teacher_is_a_graph:
            raise InputError(
                f"the teacher {spec.model} is a graph: it cannot be trained, and nobody can look inside it"
            )
        if spec.model.startswith("run:"):
            found = checkpoint.find(spec.model.removeprefix("run:"))
            if (labels := checkpoint.read_about(found).labels) != self.splits.labels:
                raise InputError(f"{found} has other labels: {', '.join(labels[:5])} ...")
            return found
        if spec.train is None and not spec.weights:
            raise InputError("the teacher has neither weights nor a [teacher.train]: there is nothing to learn from it")
        images = self.splits.train.all_labelled()
        return self._run(Stage("teacher", "teacher", spec, spec.train, self.task, self.splits, images))

    def control(self, student: Student) -> Path:
        """The student trained the same way on the labels alone."""
        task, splits = self._part(student)
        settings, images = student.train or self.recipe.train, splits.train.only_labelled()
        return self._run(Stage(f"{student.name}-control", "control", student, settings, task, splits, images))

    def distilled(self, student: Student) -> Path:
        """The student that also learns from the teacher's answers to every training image."""
        settings = student.train or self.recipe.train
        if settings.cache_features:
            raise InputError("a head on stored features learns from labels alone (zoo train), not from a teacher")
        if (done := self.folder / student.name / checkpoint.FILE).is_file():
            return done
        task, splits = self._part(student)
        answers = self._answers
        if student.labels:
            answers = PartOfTeacher(answers, self.task.columns(student.labels))
        behind = self._behind_the_answers if self.recipe.distill.hints else None
        stage = Stage(student.name, "student", student, settings, task, splits, splits.train, answers, behind)
        return self._run(stage)

    def together(self, role: Literal["control", "student"]) -> dict[str, float] | None:
        """Scores of all specialists' answers put together, also written down; None when there are none of that role,
        or they leave a label out.
        """
        parts = []
        for student in self.recipe.students:
            folder = self.folder / (student.name if role == "student" else f"{student.name}-control")
            if student.labels and (folder / checkpoint.FILE).is_file():
                network, about = checkpoint.load(folder)
                parts.append((about.labels, evaluate(network, torch.from_numpy(self.splits.test.images)).numpy()))
        answers = together(self.task, parts) if parts else None
        if answers is None:
            return None
        scores = self.task.score(answers, self.splits.test.targets)
        written = self.folder / SPECIALISTS
        known = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
        write_text(written, json.dumps({**known, role: scores}, indent=2) + "\n")
        return scores

    def _part(self, student: Student) -> tuple[AnyTask, Splits]:
        """The whole problem, or a specialist's part of it."""
        if not student.labels:
            return self.task, self.splits
        return TASKS[self.recipe.task](student.labels, self.recipe.data.size), part_of(
            self.splits, self.task, student.labels
        )

    @property
    def _teacher(self) -> Teacher:
        if self.recipe.teacher is None:
            raise InputError(f"{self.recipe.name} has no [teacher]: its students learn with `zoo train`")
        return self.recipe.teacher

    @cached_property
    def _behind_the_answers(self) -> Normalised:
        return checkpoint.load(self.teacher())[0]

    @cached_property
    def _answers(self) -> Answering:
        spec, data = self._teacher, self.recipe.data
        online: OnlineTeacher | OnnxTeacher
        if self.teacher_is_a_graph:
            online = open_teacher(spec.model, mean=data.mean, std=data.std, size=spec.size, outputs=self.task.outputs)
        else:
            # One whose answers are stored is asked about what is missing: batches of any size, worth no compiling.
            mode = self.recipe.train.compile if self.recipe.distill.answers == "online" else "off"
            online = OnlineTeacher(self._behind_the_answers, size=spec.size, compile=mode)
        stores = self.folder.parent / "soft-labels"
        return answers_of(online, self.splits.train, self.views, self.recipe, self.task.outputs, stores)

    def _run(self, stage: Stage) -> Path:
        return run_stage(stage, self.recipe, self.views, self.folder / stage.name, resume=self._resume)


def _differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Dotted names of the values that differ between two nested tables."""
    found = []
    for key in sorted(old.keys() | new.keys()):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{path}{key}.")
        elif a != b:
            found.append(f"{path}{key}")
    return found
