"""The task's metric of one engine, on a folder of labelled images or on a test set that `zoo export` wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.results import Accuracy
from bench.subjects.subject import Subject
from zoo.data.class_folders import labelled
from zoo.errors import InputError, VerdictError
from zoo.preprocess import Pixels, preprocess

BATCH = 32  # large enough to be fast, small enough for any memory
TEST_SET = ".safetensors"


def labelled_images(folder: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Every image below `folder` with the index of its class in `labels`, as `zoo.data.class_folders` finds them.

    `InputError` when the folder is missing or empty, or has a class that the network does not know.
    """
    if not folder.is_dir():
        raise InputError(f"no such folder of labelled images: {folder}")
    found = labelled(folder, labels)
    if not found:
        raise InputError(f"{folder} has no labelled images: they must lie in {folder}/CLASS/")
    return found


def read_test_set(file: Path) -> tuple[Pixels, npt.NDArray[Any]]:
    """Images uint8 [N, H, W, 3] as the network is fed them, and their targets."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not file.is_file():
        raise InputError(f"no such test set: {file}")
    try:
        tensors = load_file(file)
        return tensors["image"], tensors["target"]
    except (SafetensorError, KeyError):
        raise InputError(f"{file} is not a test set that `zoo export --test-set` wrote") from None


def check(source: Path, labels: Sequence[str]) -> None:
    """`InputError` at once for what `evaluate` could not read: an engine takes a while to load."""
    if source.suffix == TEST_SET:
        read_test_set(source)
    else:
        labelled_images(source, labels)


def evaluate(subject: Subject, source: Path) -> Accuracy:
    """The task's metric on all images of `source`. `VerdictError` when an output is not a finite number."""
    found, targets = [], []
    for pixels, wanted in _batches(subject, source):
        found.append(subject.logits(pixels))
        targets.append(wanted)
    outputs = np.concatenate(found)
    if not np.isfinite(outputs).all():
        raise VerdictError(f"{subject.engine.text} gives NaN or infinity")
    task, wanted = subject.task, np.concatenate(targets)
    task.check(outputs, wanted, subject.engine.text)
    value = task.score(outputs, wanted)[task.metric]
    return Accuracy(task=task.name, metric=task.metric, value=value, images=len(outputs))


def _batches(subject: Subject, source: Path) -> Iterator[tuple[Pixels, npt.NDArray[Any]]]:
    if source.suffix == TEST_SET:
        pixels, targets = read_test_set(source)
        for start in range(0, len(pixels), BATCH):
            yield pixels[start : start + BATCH], targets[start : start + BATCH]
        return
    images = labelled_images(source, subject.task.labels)
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        yield (
            np.stack([preprocess(path, subject.preprocessing)[0] for path, _ in part]),
            np.array([target for _, target in part]),
        )
