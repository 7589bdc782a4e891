"""A grid of pictures with a network's predictions, and with what is true where that is known."""

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
from zoo.learn.draw.cells import Cell, cell_of, short
from zoo.learn.draw.grid import draw_grid
from zoo.learn.draw.style import SOFT
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.tasks.prediction import Floats
from zoo.tasks.task import Task

MOST = 100  # pictures that a grid holds

Own = tuple[Pixels, npt.NDArray[Any] | None]  # uint8 [N, H, W, 3], and their targets where they are known


@dataclass(frozen=True)
class Source:
    """A checkpoint's network or a bundle's engine. `outputs`: uint8 [N, H, W, 3] -> float32 [N, outputs]; `own` reads
    the pictures that came with it.
    """

    name: str
    task: Task
    preprocessing: Preprocessing
    outputs: Callable[[Pixels], Floats]
    own: Callable[[], Own]


def open_source(path: Path) -> Source:
    """The bundle, checkpoint or folder of a checkpoint at `path`. `InputError` when it is none of them.

    A checkpoint's own pictures are those it was tested on, read from where its recipe says. A bundle's are those of
    its self-test, which have no targets.
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
        from zoo.learn.run.specialists import splits_for_checkpoint
        from zoo.models.eager import from_checkpoint
    except ImportError as error:
        raise missing_package(str(error.name), "train", "a checkpoint") from None
    teacher = from_checkpoint(path)
    about = teacher.about

    def tested() -> Own:
        test = splits_for_checkpoint(data.load(about.data, about.seed), about).test
        return test.images, test.targets

    return Source(about.name, teacher.task, teacher.preprocessing, teacher.logits, tested)


def predictions(source: Source, images: Sequence[Path] = (), *, count: int = 16, seed: int = 0) -> list[Cell]:
    """A cell for each of `images`, or without any for `count` of the network's own, drawn by `seed`.

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
    outputs = source.outputs(pixels)
    known = repeat(None, len(pixels)) if targets is None else targets
    return [cell_of(source.task, *row) for row in zip(pixels, outputs, known, strict=True)]


def draw_predictions(title: str, cells: Sequence[Cell], out: Path, *, names: Sequence[str] = ()) -> None:
    """Write the grid of cells to `out`, each below its name if `names` has one."""
    captions = [cell.caption() for cell in cells]
    for name, caption in zip(names, captions, strict=False):
        caption.insert(0, (short(name, 24), SOFT))
    images, draw_on = [cell.pixels for cell in cells], [cell.draw_on for cell in cells]
    draw_grid(out, images, captions, title=title, note=cells[0].key, draw_on=draw_on)
