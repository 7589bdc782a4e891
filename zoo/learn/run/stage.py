"""One network of a run: built, trained, tested and saved. A finished one is not made again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from zoo.data import DataConfig, ImageSet, Splits
from zoo.data.views import Views
from zoo.files import write_text
from zoo.learn.hints.pairs import Hints
from zoo.learn.recipe.schema import Network, Recipe, Training
from zoo.learn.run.environment import first_process, wait_for_all
from zoo.learn.teachers.base import Teacher
from zoo.learn.teachers.cached import CachedTeacher, Tally
from zoo.learn.teachers.inputs import TeacherInput, in_parts
from zoo.learn.train.batches import Batches
from zoo.learn.train.cached_features import FeatureBatches, FeatureHead, FrozenBody, as_features, stored_features
from zoo.models import checkpoint
from zoo.models.checkpoint import About
from zoo.models.construct import build
from zoo.models.evaluate import evaluate
from zoo.models.normalisation import Normalised
from zoo.models.weights.hub import with_settings
from zoo.progress import note
from zoo.tasks.learning.task import LearnableTask


@dataclass(frozen=True)
class Stage:
    """What is trained, on which data, by which teacher. `images`: the part of `splits` that it is trained on, with the
    labels that may be used. `teacher_network`: the network behind the teacher, whose layers the hints read. `data`: how
    the network is fed, where that is not the recipe's. `taken`: a network that is there already, and what it is shown.
    """

    name: str
    role: Literal["teacher", "control", "student"]
    spec: Network
    settings: Training | None
    task: LearnableTask
    splits: Splits
    images: ImageSet
    teacher: Teacher | None = None
    teacher_network: Normalised | None = None
    data: DataConfig | None = None
    taken: tuple[nn.Module, TeacherInput] | None = None


def run_stage(stage: Stage, recipe: Recipe, views: Views, folder: Path, *, resume: bool) -> Path:
    """The checkpoint of `stage` in `folder`, made if it is not there."""
    done = folder / checkpoint.FILE
    if done.is_file():
        return done
    torch.manual_seed(recipe.seed)
    data = stage.data or recipe.data
    bare, shows = stage.taken or (_built(stage, data.size), TeacherInput())
    network = Normalised(bare, data.mean, data.std)
    metrics: dict[str, Any] = {"epochs": 0}
    if stage.settings is not None:
        metrics = _train(stage, stage.settings, network, recipe, views, folder, resume=resume)
    splits, images = stage.splits, stage.images
    place = "cuda" if torch.cuda.is_available() else "cpu"  # ten thousand images take a CPU longer than an epoch here
    network.to(place)
    parts = in_parts(torch.from_numpy(splits.test.images))
    outputs = torch.cat([evaluate(network, shows.shown(part)) for part in parts]).numpy()
    network.cpu()
    scores = stage.task.score(outputs, splits.test.targets)
    about = About(
        name=stage.name,
        role=stage.role,
        task=recipe.task,
        network=with_settings(stage.spec),
        labels=splits.labels,
        data=data,
        seed=recipe.seed,
        metrics=scores,
        provenance={
            "recipe": recipe.name,
            "training_images": len(images),
            "labelled_images": int(np.count_nonzero(images.labelled)),
            "training_data": splits.train.fingerprint,
            "teacher": recipe.teacher.model if stage.teacher is not None and recipe.teacher else None,
        },
    )
    if first_process():
        checkpoint.save(bare, about, folder)
        write_text(folder / checkpoint.METRICS, json.dumps(scores | metrics, indent=2) + "\n")
        (folder / checkpoint.LAST).unlink(missing_ok=True)
    wait_for_all()
    return done


def _built(stage: Stage, size: int) -> nn.Module:
    return build(stage.spec, classes=stage.task.outputs, size=size, head_may_be_fresh=True)


def _train(
    stage: Stage, settings: Training, network: Normalised, recipe: Recipe, views: Views, folder: Path, *, resume: bool
) -> dict[str, Any]:
    """Train `network` in place; returns what metrics.json says besides the last scores: best score, epochs, seconds."""
    # Lightning takes seconds to import: an error in the recipe is reported before that.
    from zoo.learn.train.learner import Learner
    from zoo.learn.train.training import fit

    steps = -(-len(stage.splits.train) // settings.batch)
    kind = FeatureBatches if settings.cache_features else Batches
    batches = kind(stage.images, views, stage.task, batch=settings.batch, steps=steps, seed=recipe.seed)
    test, validation = stage.splits.test, stage.splits.validation if settings.patience else None
    trained: Any = network
    metrics: dict[str, Any] = {}
    if isinstance(batches, FeatureBatches):
        body = FrozenBody(network, recipe.data.size)
        stores = folder.parent.parent / "features"
        batches.store, seconds = stored_features(body, stage.images, views, recipe.data.stored_preprocessing, stores)
        test = as_features(body, test)
        validation = validation and as_features(body, validation)
        trained = FeatureHead(body.head, body.shape)
        settings = settings.model_copy(update={"head_epochs": 0, "freeze": "", "body_lr": 1.0})
        metrics["features_seconds"] = round(seconds, 2)
    hints = None
    if stage.teacher is not None and stage.teacher_network is not None and recipe.distill.hints:
        example = network.normalise(torch.from_numpy(test.images[:2]))
        hints = Hints(network.network, stage.teacher_network.network, recipe.distill.hints, example)
    teacher = stage.teacher
    learner = Learner(trained, stage.task, settings, batches, teacher=teacher, distill=recipe.distill, hints=hints)
    before = teacher.tally if isinstance(teacher, CachedTeacher) else None
    began = time.perf_counter()
    epochs = fit(
        learner,
        folder,
        test,
        title=f"{recipe.name}: {stage.name}",
        settings=settings,
        processes=recipe.processes,
        resume=resume,
        validation=validation,
    )
    metrics |= {f"best_{stage.task.metric}": learner.best, "epochs": epochs}
    metrics["seconds"] = round(time.perf_counter() - began, 2)
    if isinstance(teacher, CachedTeacher) and before is not None:
        metrics["answers"] = _soft_labels_read(stage.name, teacher, before)
    return metrics


def _soft_labels_read(name: str, teacher: CachedTeacher, before: Tally) -> dict[str, float]:
    """Say, and return, what the store saved: the logits read instead of computed, by the time that one takes."""
    here, seconds_each = teacher.tally - before, teacher.tally.seconds / max(teacher.tally.asked, 1)
    saved = here.reused * seconds_each
    note(
        f"{name}: soft labels: {here.asked} computed in {here.seconds:.1f} s, {here.reused} read from the store"
        + (f": {saved:.1f} s saved" if saved else "")
    )
    return {**here.as_dict(), "seconds_saved": round(saved, 2)}
