"""How fast a student trains with no teacher, with one that is asked every time, and with its answers from a store.

The real training runs, Lightning and all, for a few steps at a time: one way after the other, in turn, so that the
machine's moods fall on all of them alike. What counts is the ratio within one round.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from zoo.errors import InputError
from zoo.learn.answers import answers_of
from zoo.learn.batches import Batch, Batches
from zoo.learn.checks import ALREADY_TRAINED
from zoo.learn.learner import Learner
from zoo.learn.networks import Normalised, build
from zoo.learn.recipe import Network, Recipe, Student
from zoo.learn.run import Run
from zoo.learn.teachers import OnlineTeacher, Teacher
from zoo.learn.training import fit
from zoo.progress import track

WAYS = ("no teacher", "online", "cached")
UNTIMED = 1  # the first step allocates what all others use again
TESTED = 8  # a training ends with a test, which is not what is measured


@dataclass(frozen=True)
class Pace:
    """Training images a second of each round, for one way to get the teacher's answers."""

    way: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Images a second."""
        return median(self.rounds)

    def ratio(self, other: Pace) -> tuple[float, float, float]:
        """(lowest, median, highest) of this pace over the other's, round by round."""
        ratios = sorted(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))
        return ratios[0], median(ratios), ratios[-1]


class _Timed(Batches):
    """Batches that note when each one's step was over, which is when the next is asked for."""

    def __iter__(self) -> Iterator[Batch]:
        self.moments: list[float] = []
        for step, batch in enumerate(super().__iter__()):
            if step in (UNTIMED, self.steps - 1) and batch.images.is_cuda:
                torch.cuda.synchronize()  # elsewhere a GPU may run behind, as it does in any training
            self.moments.append(time.perf_counter())
            yield batch

    @property
    def images_per_second(self) -> float:
        """From the end of the untimed steps to the beginning of the last one."""
        return self.batch * (self.steps - 1 - UNTIMED) / (self.moments[-1] - self.moments[UNTIMED])


def paces(recipe: Recipe, student: Student, *, steps: int, rounds: int) -> list[Pace]:
    """Measure every way in `rounds` rounds of `steps` steps. All weights are random: they change no time.

    Raises `InputError` for a recipe without a teacher that torch runs, and for too few steps.
    """
    if recipe.teacher is None or recipe.teacher.model.startswith(ALREADY_TRAINED):
        raise InputError(f"{recipe.name} names no network as teacher: give one, e.g. --set teacher.model=vgg")
    if steps < UNTIMED + 3:
        raise InputError(f"{steps} steps are too few to be timed: take at least {UNTIMED + 3}")
    settings = (student.train or recipe.train).model_copy(
        update={"epochs": 1, "warmup": 0, "schedule": "constant", "patience": 0, "cache_features": False}
    )
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="zoo-training-") as name:
        folder = Path(name)
        run = Run(recipe, folder / "run")
        train, test, size = run.splits.train, run.splits.test, recipe.data.size
        few = test.take(np.arange(min(TESTED, len(test))))

        def fresh(spec: Network) -> Normalised:
            bare = build(spec.model_copy(update={"weights": None}), classes=run.task.outputs, size=size)
            return Normalised(bare, recipe.data.mean, recipe.data.std)

        online = OnlineTeacher(fresh(recipe.teacher), size=recipe.teacher.size)
        stored = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"answers": "cached"})})
        teachers: dict[str, Teacher | None] = {
            "no teacher": None,
            "online": online,
            "cached": answers_of(online, train, run.views, stored, run.task.outputs, folder),
        }
        with track(f"training {student.name}", (rounds + 1) * len(WAYS)) as advance:
            for turn in range(rounds + 1):  # the first warms up, and fills the store with what the others read
                for way in _in_turn(turn):
                    batches = _Timed(train, run.views, run.task, batch=settings.batch, steps=steps, seed=recipe.seed)
                    learner = Learner(
                        fresh(student), run.task, settings, batches, teacher=teachers[way], distill=recipe.distill
                    )
                    title = f"round {turn}: {way}"
                    place = folder / f"{turn}-{way}"
                    fit(learner, place, few, title=title, settings=settings, processes=1, resume=False)
                    shutil.rmtree(place)
                    if turn:
                        found[way].append(batches.images_per_second)
                    advance()
    return [Pace(way, tuple(found[way])) for way in WAYS]


def _in_turn(turn: int) -> Sequence[str]:
    """Another way goes first in every round."""
    start = turn % len(WAYS)
    return WAYS[start:] + WAYS[:start]
