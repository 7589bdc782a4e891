"""A run: the folder that one execution of a recipe writes, stage by stage.

runs/digits/
  recipe.toml         every value that was used, defaults written out
  environment.json    machine and versions
  teacher/            model.safetensors, metrics.json, logs/ (metrics.csv, TensorBoard)
  vgg-control/  vgg/  the same for each student, without and with the teacher
  specialists.json    scores of students for a part of the labels each, their outputs combined
runs/soft-labels/     soft labels of teachers, shared by all runs beside this one
runs/features/        features of frozen bodies, shared in the same way
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
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
from zoo.learn.recipe import schema
from zoo.learn.recipe.schema import Recipe, Student, to_toml
from zoo.learn.run.checks import check
from zoo.learn.run.environment import environment, first_process
from zoo.learn.run.results import summary
from zoo.learn.run.specialists import SpecialistTeacher, combined, specialist_splits
from zoo.learn.run.stage import Stage, run_stage
from zoo.learn.run.teaching import (
    ELSEWHERE,
    RUN,
    compare,
    describe,
    found_checkpoint,
    graph_teacher,
    network_teacher,
    scored,
)
from zoo.learn.teachers.base import Teacher
from zoo.learn.teachers.by_recipe import teacher_by_recipe
from zoo.learn.teachers.inputs import channels_of, input_of
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.teachers.onnx import GRAPHS
from zoo.learn.teachers.taken import Taken, take
from zoo.models import checkpoint
from zoo.models.construct import build
from zoo.models.evaluate import evaluate
from zoo.models.normalisation import Normalised
from zoo.progress import note
from zoo.tasks.learning.registry import TASKS
from zoo.tasks.learning.task import LearnableTask

HEAD_ALONE = "a head on stored features learns from labels alone (zoo train), not from a teacher"
RECIPE, ENVIRONMENT, SPECIALISTS = "recipe.toml", "environment.json", "specialists.json"


class Run:
    """One recipe in one folder. Its stages are `teacher()`, `control(student)` and `distilled(student)`, each of which
    returns the path of a checkpoint and does nothing when that is already there. `distilled` calls
    `teacher()` itself, unless the teacher is an ONNX graph::

        run = Run(load_recipe("digits"), Path("runs/digits"))
        for student in run.recipe.students:
            control, distilled = run.control(student), run.distilled(student)
    """

    def __init__(self, recipe: Recipe, folder: Path, *, resume: bool = False, distils: bool = False) -> None:
        """Open the folder. `InputError` when it holds another run, or the same one and `resume` was not asked for.

        `distils`: whether students will learn from the teacher: what is wrong with it is said before anything is
        written or trained.
        """
        self.recipe, self.folder = recipe, folder
        self._resume = resume or not first_process()
        written = folder / RECIPE
        if written.exists() and first_process():
            self._check_same(written)
        check(recipe)
        self.splits: Splits = data.load(recipe.data, recipe.seed)  # may be refused, so before anything is written
        self.task: LearnableTask = TASKS[recipe.task](self.splits.labels, recipe.data.size)
        for student in recipe.students:
            if student.labels:
                self.task.columns(student.labels)
        if distils:
            self._check_teacher()
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
        return self._teacher_config.model.startswith(GRAPHS)

    def teacher(self) -> Path:
        """The teacher: trained here on all training labels, taken with its weights, or one trained before."""
        spec = self._teacher_config
        if self.teacher_is_a_graph:
            raise InputError(
                f"the teacher {spec.model} is a graph: it can neither be trained nor give hints from its layers"
            )
        if spec.model.startswith(RUN):
            return found_checkpoint(spec, self.recipe)
        if (done := self.folder / "teacher" / checkpoint.FILE).is_file():
            return done
        images = self.splits.train.all_labelled()
        stage = Stage("teacher", "teacher", spec, spec.train, self.task, self.splits, images)
        if spec.train is None:
            taken = self._taken
            stage = replace(stage, data=taken.data, taken=(taken.network, input_of(taken.data, spec, self.recipe)))
        else:
            mean, std, _ = channels_of(spec, self.recipe.data)
            stage = replace(stage, data=self.recipe.data.model_copy(update={"mean": mean, "std": std}))
        return self._run(stage)

    def teacher_scores(self) -> dict[str, float]:
        """What the teacher reaches on the test images, as it is shown them: the bar for its students."""
        spec = self._teacher_config
        if spec.model.startswith(ELSEWHERE):
            return scored(self._online, spec, self.task, self.splits.test, self.folder / "teacher")
        return checkpoint.read_about(self.teacher()).metrics

    def teacher_row(self) -> dict[str, Any]:
        """What is known of the teacher, as `summary` says it of a network; its scores are printed, too."""
        spec = self._teacher_config
        scores = self.teacher_scores()
        if not self.teacher_is_a_graph:
            describe(spec, checkpoint.read_about(self.teacher()), self.recipe)
        metric = self.task.phrase(scores[self.task.metric])
        note(f"the teacher: {metric} on the {len(self.splits.test):,} test images")
        about = {"name": "teacher", "role": "teacher", "checkpoint": spec.model}
        nothing = dict.fromkeys(("parameters", "macs", "seconds"))
        known = {} if self.teacher_is_a_graph else summary(self.teacher())
        shown = f"{self.task.metric} {self.task.shown(scores[self.task.metric])}"
        return {**nothing, **about, **known, **scores, "shown": shown}

    def compared(self, control: Path) -> Path:
        """The same control, after a warning where the teacher is not better than it; a specialist has other scores."""
        about = checkpoint.read_about(control)
        if about.labels == self.splits.labels:
            metric = self.task.metric
            compare(self.task, self.teacher_scores()[metric], about.metrics[metric], about.name, self.recipe)
        return control

    def control(self, student: Student) -> Path:
        """The student trained the same way on the labels alone."""
        task, splits = self._part(student)
        settings, images = student.train or self.recipe.train, splits.train.only_labelled()
        return self._run(Stage(f"{student.name}-control", "control", student, settings, task, splits, images))

    def distilled(self, student: Student) -> Path:
        """The student that also learns from the teacher's logits for every training image."""
        settings = student.train or self.recipe.train
        if settings.cache_features:
            raise InputError(HEAD_ALONE)
        if (done := self.folder / student.name / checkpoint.FILE).is_file():
            return done
        task, splits = self._part(student)
        teacher = self._teacher
        if student.labels:
            teacher = SpecialistTeacher(teacher, self.task.columns(student.labels))
        network = self._teacher_checkpoint[0] if self.recipe.distill.hints else None
        stage = Stage(student.name, "student", student, settings, task, splits, splits.train, teacher, network)
        return self._run(stage)

    def combined_scores(self, role: Literal["control", "student"]) -> dict[str, float] | None:
        """Scores of all specialists of a role, their outputs combined, and also written to specialists.json; None when
        there are none, or a label has no specialist.
        """
        parts = []
        for student in self.recipe.students:
            folder = self.folder / (student.name if role == "student" else f"{student.name}-control")
            if student.labels and (folder / checkpoint.FILE).is_file():
                network, about = checkpoint.load(folder)
                parts.append((about.labels, evaluate(network, torch.from_numpy(self.splits.test.images)).numpy()))
        outputs = combined(self.task, parts) if parts else None
        if outputs is None:
            return None
        scores = self.task.score(outputs, self.splits.test.targets)
        written = self.folder / SPECIALISTS
        known = json.loads(written.read_text(encoding="utf-8")) if written.is_file() else {}
        write_text(written, json.dumps({**known, role: scores}, indent=2) + "\n")
        return scores

    def _part(self, student: Student) -> tuple[LearnableTask, Splits]:
        """The task and the data of a student: all labels, or a specialist's."""
        if not student.labels:
            return self.task, self.splits
        task = TASKS[self.recipe.task](student.labels, self.recipe.data.size)
        return task, specialist_splits(self.splits, self.task, student.labels)

    @property
    def _teacher_config(self) -> schema.Teacher:
        if self.recipe.teacher is None:
            raise InputError(f"{self.recipe.name} has no [teacher]: its students learn with `zoo train`")
        return self.recipe.teacher

    def _check_teacher(self) -> None:
        """Open the teacher, or what it starts from. `InputError` when it is not there, does not fit or cannot teach."""
        spec, recipe = self._teacher_config, self.recipe
        if self.teacher_is_a_graph and recipe.distill.hints:
            self.teacher()  # says why not
        if any((student.train or recipe.train).cache_features for student in recipe.students):
            raise InputError(HEAD_ALONE)
        if spec.model.startswith(ELSEWHERE):
            self._online.to(torch.device("cpu"))
        elif (self.folder / "teacher" / checkpoint.FILE).is_file():
            return
        elif spec.train is None:
            self._taken  # noqa: B018  (it is kept)
        elif spec.outputs:
            raise InputError("teacher.outputs is for a teacher that is taken as it is: [teacher.train] gives it a head")
        elif spec.weights:
            build(spec, classes=self.task.outputs, size=recipe.data.size, head_may_be_fresh=True)

    @cached_property
    def _taken(self) -> Taken:
        """The teacher that is not trained here, with its weights."""
        spec = self._teacher_config
        if not spec.weights:
            raise InputError("the teacher has neither weights nor a [teacher.train]: there is nothing to learn from it")
        return take(spec, self.task, self.recipe)

    @cached_property
    def _teacher_checkpoint(self) -> tuple[Normalised, checkpoint.About]:
        """The network behind the teacher's logits, and what its file says of it."""
        return checkpoint.load(self.teacher())

    @cached_property
    def _online(self) -> Teacher:
        """The teacher that is asked in every step, its outputs in the order of the data's labels."""
        spec = self._teacher_config
        if self.teacher_is_a_graph:
            return graph_teacher(spec, self.recipe, self.task)
        network, about = self._teacher_checkpoint
        # One whose logits are stored runs for what is missing: batches of any size, which are not worth compiling.
        mode = self.recipe.train.compile if self.recipe.distill.answers == "online" else "off"
        online = OnlineTeacher(network, shows=input_of(about.data, spec, self.recipe), compile=mode)
        return network_teacher(online, about, spec, self.task)

    @cached_property
    def _teacher(self) -> Teacher:
        """What all students of this run learn from."""
        stores = self.folder.parent / "soft-labels"
        return teacher_by_recipe(self._online, self.splits.train, self.views, self.recipe, self.task.outputs, stores)

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
