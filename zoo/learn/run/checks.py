"""What can be wrong with a recipe as a whole, found before any of its trainings starts."""

from __future__ import annotations

from zoo.errors import InputError
from zoo.learn.losses.registry import names_for
from zoo.learn.losses.soft_part import soft_part
from zoo.learn.recipe.loggers import check_loggers
from zoo.learn.recipe.schema import Network, Recipe, Training
from zoo.learn.teachers.onnx import GRAPHS
from zoo.learn.train.cuda_graph_step import capturer
from zoo.learn.train.first_step import try_step
from zoo.models.construct import shadow
from zoo.tasks.learning.registry import TASKS
from zoo.tasks.learning.task import LearnableTask

ALREADY_TRAINED = ("run:", *GRAPHS)


def check(recipe: Recipe) -> None:
    """Raise `InputError` for a misspelt knob, a loss that does not fit the task, settings that exclude each other."""
    task = TASKS[recipe.task]((), 0)
    students = [student.train or recipe.train for student in recipe.students]
    teacher = [recipe.teacher.train] if recipe.teacher and recipe.teacher.train else []
    for settings in (*students, *teacher):
        _check_training(settings, recipe, task)
    _check_distillation(recipe, task, mixes=any(settings.mixup or settings.cutmix for settings in students))
    for student in recipe.students:
        key = f"students.{student.name}.train" if student.train else "train"
        _try_network(student, recipe, student.train or recipe.train, key)
    if recipe.teacher:
        _try_network(recipe.teacher, recipe, recipe.teacher.train, "teacher.train", recipe.teacher.size)


def _try_network(spec: Network, recipe: Recipe, settings: Training | None, key: str, side: int | None = None) -> None:
    """Its knobs are checked where it is built; then it takes a step. `side`: of the pictures of a teacher that is not
    trained here.
    """
    if spec.model.startswith(ALREADY_TRAINED):
        return
    network = shadow(spec, classes=2, size=recipe.data.size)
    size = recipe.data.size if settings is not None or side is None else side
    try_step(network, spec.model, size, settings, key, recipe.processes)


def _check_training(settings: Training, recipe: Recipe, task: LearnableTask) -> None:
    check_loggers(settings.loggers)
    if not task.blends and (settings.mixup or settings.cutmix or settings.smoothing):
        raise InputError(f"mixup, cutmix and smoothing are not for {task.name}")
    if settings.patience and not recipe.data.validation:
        raise InputError("train.patience needs data.validation: the test images must not decide when to stop")
    if settings.head_epochs and recipe.processes > 1:
        raise InputError("train.head_epochs is for one process: with several, weights cannot start to learn late")
    if settings.cache_features and (settings.head_epochs < settings.epochs or settings.mixup or settings.cutmix):
        raise InputError("train.cache_features is for a head alone, without mixup: set train.head_epochs to epochs")
    if settings.compile == "graph":
        _check_capture(settings, recipe)
    if settings.compile != "off" and recipe.distill.hints:
        raise InputError("train.compile leaves out the hooks that hints need: switch one of the two off")


def _check_capture(settings: Training, recipe: Recipe) -> None:
    """What is decided on the CPU in every step cannot be part of a CUDA graph."""
    teacher = recipe.teacher.model if recipe.teacher else ""
    onnx_online = teacher.startswith(GRAPHS) and recipe.distill.answers == "online"
    unfit = {
        "processes > 1": recipe.processes > 1,
        "mixup and cutmix": settings.mixup or settings.cutmix,
        "train.precision = 'fp16'": settings.precision == "fp16",
        "train.cache_features": settings.cache_features,
        "data.augment = 'crop'": recipe.data.augment == "crop",
        "an ONNX teacher that is online": onnx_online,
    }
    for what, present in unfit.items():
        if present:
            raise InputError(f"train.compile = 'graph' cannot capture {what}: take 'default', or leave that out")
    capturer()


def _check_distillation(recipe: Recipe, task: LearnableTask, *, mixes: bool) -> None:
    if recipe.teacher is None and not names_for(task.name):
        return  # a task without a soft loss is learned from labels
    soft = soft_part(task, recipe.distill).loss
    if soft.needs_target and (recipe.data.labelled < 1 or mixes):
        which = f"distill.loss '{soft.name}'"
        raise InputError(f"{which} needs the class of every image: no mixup, no cutmix, data.labelled = 1")
    if recipe.teacher and recipe.teacher.crop not in (None, 1) and task.moves:
        raise InputError(f"teacher.crop is not for {task.name}: the teacher would see the points at other places")
    if recipe.distill.top and not task.softmax:
        raise InputError(f"distill.top keeps the largest of probabilities that sum to 1, which {task.name} has not")
    if recipe.distill.top and recipe.distill.answers == "online":
        raise InputError("distill.top is for stored soft labels: set distill.answers to 'cached' or 'recorded'")
    needs = "hints" if recipe.distill.hints else "mixup and cutmix" if mixes and recipe.teacher else ""
    if needs and recipe.distill.answers != "online":
        raise InputError(f"{needs} need a teacher that sees every batch: set distill.answers to 'online'")
