"""A set of images of one size, in memory as uint8, and how it is split."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.preprocess import Preprocessing, preprocess


@dataclass(frozen=True)
class ImageSet:
    """`images` uint8 [N, H, W, 3], `targets` as the task has them (first axis N), a name for each image, and which
    labels may be used.
    """

    images: npt.NDArray[np.uint8]
    targets: npt.NDArray[Any]
    names: list[str]
    labelled: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: npt.NDArray[np.int64]) -> ImageSet:
        """The images at `indices`, in that order."""
        names = [self.names[i] for i in indices]
        return ImageSet(self.images[indices], self.targets[indices], names, self.labelled[indices])

    def preprocessed(self, preprocessing: Preprocessing) -> ImageSet:
        """The images at the size that the network sees: themselves, if they are kept at it."""
        if self.images.shape[1:3] == (preprocessing.height, preprocessing.width):
            return self
        return replace(self, images=np.stack([preprocess(image, preprocessing)[0] for image in self.images]))

    def only_labelled(self) -> ImageSet:
        """The images whose label may be used."""
        return self.take(np.flatnonzero(self.labelled))

    def all_labelled(self) -> ImageSet:
        """The same images, every one with its label: what a teacher is trained on."""
        return self.with_labels(np.arange(len(self)))

    def with_labels(self, indices: npt.NDArray[np.int64]) -> ImageSet:
        """The same images, of which only those at `indices` show their label."""
        labelled = np.zeros(len(self), dtype=np.bool_)
        labelled[indices] = True
        return ImageSet(self.images, self.targets, self.names, labelled)

    @cached_property
    def fingerprint(self) -> str:
        """Hex SHA-256 of pixels, shape and order: what a teacher's soft labels on disk belong to."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class Splits:
    """What is trained on and what is only tested on; `labels`: classes, tags or points, in the targets' order."""

    train: ImageSet
    test: ImageSet
    labels: list[str]
    skipped: int = 0
    validation: ImageSet | None = None


def draw(targets: npt.NDArray[Any], share: float | int, seed: int, names: Sequence[str]) -> npt.NDArray[np.int64]:
    """Sorted indices of a seeded sample. `share` is a fraction of all, or a count.

    With one class per image it keeps the classes' proportions, and at least one image of each on either side.
    `InputError`, by the class's name in `names`, when it has a single image.
    """
    if targets.ndim > 1:
        total = math.ceil(len(targets) * share) if isinstance(share, float) else share
        return np.sort(np.random.default_rng(seed).permutation(len(targets))[: min(max(total, 1), len(targets) - 1)])
    classes, counts = np.unique(targets, return_counts=True)
    total = math.ceil(len(targets) * share) if isinstance(share, float) else share
    exact = counts * (total / len(targets))
    wanted = np.floor(exact).astype(int)
    wanted[np.argsort(wanted - exact, kind="stable")[: total - wanted.sum()]] += 1  # to the largest remainders
    random = np.random.default_rng(seed)
    chosen = []
    for label, count, take in zip(classes, counts, wanted, strict=True):
        if count < 2:
            raise InputError(f"{names[label]} has only {count} image: a split needs at least 2 of each class")
        members = random.permutation(np.flatnonzero(targets == label))
        chosen.append(members[: min(max(take, 1), count - 1)])
    return np.sort(np.concatenate(chosen))


def check_memory(count: int, preprocessing: Preprocessing) -> None:
    """Refuse, with an `InputError`, more images than fit into this machine's memory beside a training."""
    if not hasattr(os, "sysconf"):  # Windows: a machine with too little memory says so by itself
        return
    needed = count * preprocessing.height * preprocessing.width * 3
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory // 3:  # decoded once, stacked once, and room for the training itself
        gib = 2**30
        raise InputError(
            f"{count} images of {preprocessing.height} pixels need {needed / gib:.1f} GiB and this machine has "
            f"{memory / gib:.1f}: choose a smaller data.size or a part of the images"
        )
