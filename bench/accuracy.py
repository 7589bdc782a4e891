"""Top-1 accuracy of one engine on a folder of labelled images, DIR/CLASS/image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.results import Accuracy
from bench.subjects import Subject
from zoo.errors import InputError, VerdictError, nearest
from zoo.images import SUFFIXES, read

BATCH = 32  # large enough to be fast, small enough for any memory


def labelled_images(folder: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """Every image below `folder` with the index of its class in `labels`, in a fixed order.

    `InputError` when the folder is missing or empty, or has a class that the network does not know.
    """
    if not folder.is_dir():
        raise InputError(f"no such folder of labelled images: {folder}")
    index = {label: place for place, label in enumerate(labels)}
    found: list[tuple[Path, int]] = []
    for part in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if part.name not in index:
            raise InputError(f"{part} is not a class of this network{nearest(part.name, labels)}")
        images = sorted(path for path in part.iterdir() if path.suffix.lower() in SUFFIXES)
        found += [(path, index[part.name]) for path in images]
    if not found:
        raise InputError(f"{folder} has no labelled images: they must lie in {folder}/CLASS/")
    return found


def evaluate(subject: Subject, folder: Path) -> Accuracy:
    """Decode, frame and answer every image of `folder`. `VerdictError` when an answer is not a finite number."""
    images = labelled_images(folder, subject.labels)
    right = 0
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        logits = subject.answer(np.stack([read(path, subject.framing) for path, _ in part]))
        if not np.isfinite(logits).all():
            raise VerdictError(f"{subject.engine.text} answers with NaN or infinity")
        right += int((logits.argmax(axis=1) == [target for _, target in part]).sum())
    return Accuracy(value=right / len(images), images=len(images))
