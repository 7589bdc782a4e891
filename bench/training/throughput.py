"""Training throughput, in images per second: of a student with no teacher, with an online teacher and with stored soft
labels, and of the common research loop with an online teacher.

The real training runs, Lightning included, for a few steps at a time. The ways take turns in each round, so that
slow and fast phases of the machine affect all of them. What is reported is the ratio within one round.
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

from bench.training.plain_loop import PlainLoop
from zoo.errors import InputError
from zoo.learn.losses.soft_part import soft_part
from zoo.learn.recipe.schema import Network, Recipe, Student
from zoo.learn.run.checks import ALREADY_TRAINED
from zoo.learn.run.run import Run
from zoo.learn.teachers.base import Teacher
from zoo.learn.teachers.by_recipe import teacher_by_recipe
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.train.batches import Batches, Step
from zoo.learn.train.cuda_graph_step import WARM_UP
from zoo.learn.train.learner import Learner
from zoo.learn.train.training import fit
from zoo.models.construct import build
from zoo.models.normalisation import Normalised
from zoo.progress import note, track
from zoo.tasks.learning.registry import TASKS

PLAIN = "plain loop"
WAYS = ("no teacher", "online", "cached", PLAIN)
# The first steps allocate the memory that all others use again, compile, and capture CUDA graphs.
UNTIMED = WARM_UP + 2
TESTED = 8  # a training ends with a test, which is not what is measured


@dataclass(frozen=True)
class Throughput:
    """Training images per second in each round, for one way to get the teacher's logits."""

    way: str
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Images per second."""
        return median(self.rounds)

    def ratio(self, other: Throughput) -> tuple[float, float, float]:
        """(lowest, median, highest) ratio of this throughput to the other's, round by round."""
        ratios = sorted(mine / theirs for mine, theirs in zip(self.rounds, other.rounds, strict=True))
        return ratios[0], median(ratios), ratios[-1]


class _Clock:
    """Takes the time at the end of the untimed steps and at the beginning of the last one. In between a GPU may run
    behind the CPU, as in any training.
    """

    def __init__(self, steps: int) -> None:
        self._last = steps - 1
        self._moments: dict[int, float] = {}

    def __call__(self, step: int) -> None:
        """To be called before each `step`, when all work before it is queued."""
        if step in (UNTIMED, self._last):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self._moments[step] = time.perf_counter()

    def images_per_second(self, batch: int) -> float:
        """From the end of the untimed steps to the beginning of the last one."""
        return batch * (self._last - UNTIMED) / (self._moments[self._last] - self._moments[UNTIMED])


class _Timed(Batches):
    """Batches that call a clock before each step: asking for a batch means that the step before it is done."""

    clock: _Clock

    def epoch_steps(self) -> Iterator[Step]:
        self.clock = _Clock(self.steps)
        for step in super().epoch_steps():
            self.clock(step.number)
            yield step


def training_throughput(recipe: Recipe, student: Student, *, steps: int, rounds: int) -> list[Throughput]:
    """Measure every way in `rounds` rounds of `steps` steps. All weights are random: they change no time. A task
    whose targets a view moves, such as keypoints, is not for the plain loop.

    The first has no teacher. `InputError` for a recipe without a teacher that torch runs, and for too few steps.
    """
    if recipe.teacher is None or recipe.teacher.model.startswith(ALREADY_TRAINED):
        raise InputError(f"{recipe.name} names no network as teacher: give one, e.g. --set teacher.model=vgg")
    if steps < UNTIMED + 3:
        raise InputError(f"{steps} steps are too few to be timed: take at least {UNTIMED + 3}")
    settings = (student.train or recipe.train).model_copy(
        update={"epochs": 1, "warmup": 0, "schedule": "constant", "patience": 0, "cache_features": False}
    )
    ways = tuple(way for way in WAYS if way != PLAIN or not TASKS[recipe.task].moves)
    found: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="zoo-training-") as name:
        folder = Path(name)
        run = Run(recipe, folder / "run")
        train, test, size = run.splits.train, run.splits.test, recipe.data.size
        few = test.take(np.arange(min(TESTED, len(test))))

        def fresh(spec: Network) -> Normalised:
            bare = build(spec.model_copy(update={"weights": None}), classes=run.task.outputs, size=size)
            return Normalised(bare, recipe.data.mean, recipe.data.std)

        spec = recipe.teacher
        online = OnlineTeacher(fresh(spec), size=spec.size, compile=settings.compile)
        for_the_store = OnlineTeacher(online.network, size=spec.size)
        cached = recipe.model_copy(update={"distill": recipe.distill.model_copy(update={"answers": "cached"})})
        teachers: dict[str, Teacher | None] = {
            "no teacher": None,
            "online": online,
            "cached": teacher_by_recipe(for_the_store, train, run.views, cached, run.task.outputs, folder),
        }

        def plain(count: int) -> float:
            clock = _Clock(count)
            teacher = fresh(spec).network
            soft = soft_part(run.task, recipe.distill)
            loop = PlainLoop(fresh(student).network, teacher, run.task, soft, settings, teacher_size=spec.size)
            loop.run(train, recipe.data, clock, steps=count)
            return clock.images_per_second(settings.batch)

        def subject(teacher: Teacher | None) -> tuple[Learner, _Timed]:
            batches = _Timed(train, run.views, run.task, batch=settings.batch, steps=steps, seed=recipe.seed)
            network = fresh(student)
            return Learner(network, run.task, settings, batches, teacher=teacher, distill=recipe.distill), batches

        subjects = {way: subject(teacher) for way, teacher in teachers.items()}
        begin = {name: tensor.clone() for name, tensor in subjects[WAYS[0]][0].network.state_dict().items()}

        def ours(way: str, turn: int, count: int) -> float:
            """One training by the learner of this way's other rounds: a new one would be compiled anew."""
            (learner, batches), place = subjects[way], folder / f"{turn}-{way}"
            learner.network.load_state_dict(begin)
            batches.steps = count
            fit(learner, place, few, title=f"round {turn}: {way}", settings=settings, processes=1, resume=False)
            shutil.rmtree(place)
            return batches.clock.images_per_second(settings.batch)

        with track(f"training {student.name}", (rounds + 1) * len(ways)) as advance:
            for turn in range(rounds + 1):  # the first warms up, and fills the store that the others read
                for way in _in_turn(ways, turn):
                    count = steps if turn or way == "cached" else UNTIMED + 3  # few steps warm up as well as many
                    speed = plain(count) if way == PLAIN else ours(way, turn, count)
                    # Shown at once: whoever stops a long measurement has seen what was measured so far.
                    note(f"round {turn}: {way}: {speed:.0f} images/s{'' if turn else ', not counted'}")
                    if turn:
                        found[way].append(speed)
                    advance()
    return [Throughput(way, tuple(found[way])) for way in ways]


def _in_turn(ways: Sequence[str], turn: int) -> list[str]:
    """Another way goes first in every round."""
    start = turn % len(ways)
    return [*ways[start:], *ways[:start]]
