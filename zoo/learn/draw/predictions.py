"""A grid of pictures with what a network says about them, and what is true where that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.bundle.bundle import MANIFEST
from zoo.engines import load
from zoo.errors import InputError, missing_package
from zoo.learn.draw.answers import Answered, answered, short
from zoo.learn.draw.grid import draw_grid
from zoo.learn.draw.style import SOFT
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.tasks.base import Task
from zoo.tasks.prediction import Floats

MOST = 100  # pictures that a grid holds

Own = tuple[Pixels, npt.NDArray[Any] | None]  # uint8 [N, H, W, 3], and their targets where they are known


@dataclass(frozen=True)
class Source:
    """A checkpoint's network or a bundle's engine: what a grid needs of either. `own` reads the pictures it has."""

    name: str
    task: Task
    preprocessing: Preprocessing
    answer: Callable[[Pixels], Floats]
    own: Callable[[], Own]


def open_source(path: Path) -> Source:
    """The bundle, checkpoint or folder of a checkpoint at `path`. `InputError` when it is none of them.

    A checkpoint's own pictures are those it was tested on, read from where its recipe says; a bundle's are those of
    its self-test, of which nobody wrote down what is true.
    """
    if (path / MANIFEST).is_file():
        engine = load(path)
        bundle = engine.bundle
        return Source(
            bundle.manifest.name,
            engine.task,
            bundle.manifest.input.preprocessing,
            engine,
            lambda: (bundle.selftest()["image"], None),
        )
    from zoo import data

    try:
        from zoo.learn.run.specialists import known_part
        from zoo.learn.teachers.base import from_checkpoint
    except ImportError as error:
        raise missing_package(str(error.name), "train", "a checkpoint") from None
    teacher = from_checkpoint(path)
    about = teacher.about

    def tested() -> Own:
        test = known_part(data.load(about.data, about.seed), about).test
        return test.images, test.targets

    return Source(about.name, teacher.task, teacher.preprocessing, teacher.answer_pixels, tested)


def predictions(source: Source, images: Sequence[Path] = (), *, count: int = 16, seed: int = 0) -> list[Answered]:
    """Answers to `images`, or without any to `count` of the network's own, drawn by `seed`.

    `InputError` for an image that cannot be read, and for more than a grid holds.
    """
    if max(len(images), count) > MOST:
        raise InputError(f"a grid holds {MOST} pictures, not {max(len(images), count)}")
    if images:
        pixels, targets = np.stack([preprocess(image, source.preprocessing)[0] for image in images]), None
    else:
        pixels, targets = source.own()
        chosen = np.random.default_rng(seed).permutation(len(pixels))[:count]
        pixels, targets = pixels[chosen], None if targets is None else targets[chosen]
    outputs = source.answer(pixels)
    known = repeat(None, len(pixels)) if targets is None else targets
    return [answered(source.task, *row) for row in zip(pixels, outputs, known, strict=True)]


def draw_predictions(title: str, answers: Sequence[Answered], out: Path, *, names: Sequence[str] = ()) -> None:
    """Write the grid, with the pictures' `names` if they have any."""
    captions = [answer.caption() for answer in answers]
    for name, caption in zip(names, captions, strict=False):
        caption.insert(0, (short(name, 24), SOFT))
    images, draw_on = [answer.pixels for answer in answers], [answer.draw_on for answer in answers]
    draw_grid(out, images, captions, title=title, note=answers[0].key, draw_on=draw_on)
