"""A run: the folder that one execution of a recipe writes, stage by stage. A finished stage is never done again.

runs/digits/
  recipe.toml         every value that was used, defaults written out
  environment.json    machine and versions
  teacher/            model.safetensors, metrics.json, logs/ (metrics.csv, TensorBoard)
  vgg-control/  vgg/  the same for each student, without and with the teacher
runs/soft-labels/     teachers' answers, shared by all runs beside this one
"""

from __future__ import annotations

import hashlib
import json
import platform
import time
import tomllib
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zoo import data
from zoo.data import ImageSet, Splits
from zoo.data.views import CropFlip
from zoo.errors import InputError
from zoo.files import write_text
from zoo.learn import checkpoint
from zoo.learn.checkpoint import About
from zoo.learn.networks import Normalised, build
from zoo.learn.recipe import Network, Recipe, Student, Training, to_toml
from zoo.learn.soft_labels import SoftLabels
from zoo.learn.tasks import TASKS, evaluate
from zoo.learn.teachers import CachedTeacher, OnlineTeacher, Tally, Teacher, answer_everything
from zoo.learn.training import LAST, Batches, Learner, fit
from zoo.progress import note

RECIPE, ENVIRONMENT, METRICS = "recipe.toml", "environment.json", "metrics.json"
PACKAGES = ("distilzoo", "torch", "torchvision", "timm", "lightning", "numpy", "pillow")


class Run:
    """One recipe in one folder. Its stages are `teacher()`, `control(student)` and `distilled(student)`, each of which
    returns a checkpoint and does nothing when that is already there.
    """

    def __init__(self, recipe: Recipe, folder: Path, *, resume: bool = False) -> None:
        """Open the folder. `InputError` when it holds another run, or the same one and `resume` was not asked for."""
        self.recipe, self.folder, self._resume = recipe, folder, resume
        self.task = TASKS[recipe.task]
        self._check_networks()
        written = folder / RECIPE
        if written.exists():
            self._check_same(written)
        self.splits: Splits = data.load(recipe.data, recipe.seed)  # before anything is written: it can be refused
        if not written.exists():
            write_text(written, to_toml(recipe))
            write_text(folder / ENVIRONMENT, json.dumps(_environment(), indent=2) + "\n")

    def _check_same(self, written: Path) -> None:
        if not self._resume:
            raise InputError(f"{self.folder} already holds a run: --resume continues it, --out DIR starts another")
        old, new = (tomllib.loads(text) for text in (written.read_text(encoding="utf-8"), to_toml(self.recipe)))
        if different := _differences(old, new):
            raise InputError(f"{self.folder} was made with another recipe, which differs in {', '.join(different[:5])}")

    def _check_networks(self) -> None:
        """Build every network once, without memory: a misspelt knob must not wait until the others are trained."""
        for spec in (self.recipe.teacher, *self.recipe.students):
            if not spec.model.startswith("run:"):
                build(spec.model_copy(update={"weights": ""}), classes=2, size=self.recipe.data.size, device="meta")

    @cached_property
    def views(self) -> CropFlip:
        """The recipe's augmentation."""
        return CropFlip(self.recipe.data.pad, self.recipe.data.flip)

    def teacher(self) -> Path:
        """The teacher: trained here on all training labels, taken with its weights, or one trained before."""
        spec = self.recipe.teacher
        if spec.model.startswith("run:"):
            found = checkpoint.find(spec.model.removeprefix("run:"))
            if (labels := checkpoint.read_about(found).labels) != self.splits.classes:
                raise InputError(f"{found} tells other classes apart: {', '.join(labels[:5])} ...")
            return found
        if spec.train is None and not spec.weights:
            raise InputError("the teacher has neither weights nor a [teacher.train]: there is nothing to learn from it")
        return self._stage("teacher", "teacher", spec, spec.train, images=self.splits.train.all_labelled())

    def control(self, student: Student) -> Path:
        """The student trained the same way on the labels alone."""
        settings = student.train or self.recipe.train
        name = f"{student.name}-control"
        return self._stage(name, "control", student, settings, images=self.splits.train.only_labelled())

    def distilled(self, student: Student) -> Path:
        """The student that also learns from the teacher's answers to every training image."""
        settings = student.train or self.recipe.train
        if (done := self.folder / student.name / checkpoint.FILE).is_file():
            return done
        return self._stage(student.name, "student", student, settings, images=self.splits.train, teacher=self._answers)

    @cached_property
    def _answers(self) -> Teacher:
        network, _ = checkpoint.load(self.teacher())
        online = OnlineTeacher(network, size=self.recipe.teacher.size)
        if self.recipe.distill.answers == "online":
            return online
        teacher, images, views = online.fingerprint, self.splits.train, self.views
        key = hashlib.sha256(f"{teacher} {images.fingerprint} {views.fingerprint}".encode()).hexdigest()[:16]
        store = SoftLabels.open(
            self.recipe.distill.store or self.folder.parent / "soft-labels" / key,
            images=len(images),
            views=views.count,
            classes=len(self.splits.classes),
            data=images.fingerprint,
            view_set=views.fingerprint,
            teacher=teacher,
        )
        cached = CachedTeacher(online, store)
        if self.recipe.distill.prefill:
            answer_everything(cached, images, views, batch=self.recipe.train.batch)
        return cached

    def _stage(
        self,
        name: str,
        role: Any,
        spec: Network,
        settings: Training | None,
        *,
        images: ImageSet,
        teacher: Teacher | None = None,
    ) -> Path:
        folder = self.folder / name
        if (done := folder / checkpoint.FILE).is_file():
            return done
        recipe, splits = self.recipe, self.splits
        torch.manual_seed(recipe.seed)
        bare = build(spec, classes=len(splits.classes), size=recipe.data.size, head_may_be_fresh=settings is not None)
        network = Normalised(bare, recipe.data.mean, recipe.data.std)
        metrics: dict[str, Any] = {}
        if settings is not None:
            steps = -(-len(splits.train) // settings.batch)
            batches = Batches(images, self.views, batch=settings.batch, steps=steps, seed=recipe.seed)
            learner = Learner(
                network, self.task, settings, batches, splits.test, teacher=teacher, distill=recipe.distill
            )
            before = teacher.tally if isinstance(teacher, CachedTeacher) else None
            began = time.perf_counter()
            fit(learner, folder, title=f"{recipe.name}: {name}", settings=settings, resume=self._resume)
            metrics["seconds"] = round(time.perf_counter() - began, 2)
            if isinstance(teacher, CachedTeacher) and before is not None:
                metrics["answers"] = _answers_read(name, teacher, before)
        answers = evaluate(network.cpu(), torch.from_numpy(splits.test.images))
        score = self.task.score(answers, torch.from_numpy(splits.test.targets))
        about = About(
            name=name,
            role=role,
            task=recipe.task,
            network=spec,
            labels=splits.classes,
            data=recipe.data,
            seed=recipe.seed,
            metrics={self.task.metric: score},
            provenance={
                "recipe": recipe.name,
                "training_images": len(images),
                "labelled_images": int(np.count_nonzero(images.labelled)),
                "training_data": splits.train.fingerprint,
                "teacher": recipe.teacher.model if teacher is not None else None,
            },
        )
        saved = checkpoint.save(bare, about, folder)
        metrics = {self.task.metric: score, "epochs": settings.epochs if settings else 0} | metrics
        write_text(folder / METRICS, json.dumps(metrics, indent=2) + "\n")
        (folder / LAST).unlink(missing_ok=True)
        return saved


def _answers_read(name: str, teacher: CachedTeacher, before: Tally) -> dict[str, float]:
    """Say, and return, what the store spared: the answers read instead of asked, at the pace of those asked."""
    here, pace = teacher.tally - before, teacher.tally.seconds / max(teacher.tally.asked, 1)
    saved = here.reused * pace
    note(
        f"{name}: {here.asked} teacher answers asked in {here.seconds:.1f} s, {here.reused} read from the store"
        + (f": {saved:.1f} s saved" if saved else "")
    )
    return {**here.as_dict(), "seconds_saved": round(saved, 2)}


def _environment() -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": versions,
    }


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
