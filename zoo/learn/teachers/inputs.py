"""What a teacher is shown of the views that its students see: side, crop and interpolation, and where they are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.data import DataConfig
from zoo.errors import InputError
from zoo.learn.recipe.schema import Interpolation, Recipe, Teacher
from zoo.models import checkpoint
from zoo.models.checkpoint import About
from zoo.models.library import LIBRARIES, Usual, usual

Channels = tuple[float, float, float]
NEAR = 0.97  # shares of a picture that are as near as this are the same: sizes are whole pixels, and habits differ
BATCH = 256  # images that are enlarged at once


@dataclass(frozen=True)
class TeacherInput:
    """`size`: the side in pixels that a teacher sees, None for the view's own; `crop`: the share of a view's side that
    is left of it by a centre crop, 1 for all; `interpolation`: antialiased, `nearest` excepted.
    """

    size: int | None = None
    interpolation: Interpolation = "bilinear"
    crop: float = 1.0

    @property
    def fingerprint(self) -> str:
        """What a teacher's soft labels depend on besides network and pixels."""
        more = f" interpolation={self.interpolation}" * (self.interpolation != "bilinear")
        return f"size={self.size}{more}" + f" crop={self.crop:.4f}" * (self.crop != 1)

    def shown(self, images: Tensor) -> Tensor:
        """uint8 or float [N, H, W, 3], 0 to 255 -> [N, size, size, 3]: the views themselves where they have that side
        and nothing is cropped, float in whole levels otherwise.
        """
        side = images.shape[1]
        size = self.size or side
        whole = max(size, round(size / self.crop))
        if whole != side:
            images = _resized(images, whole, self.interpolation)
        corner = (whole - size) // 2
        return images[:, corner : corner + size, corner : corner + size]

    def describe(self, side: int) -> str:
        """For a person, of views of `side` pixels."""
        size = self.size or side
        change = f" {'enlarged' if size > side else 'reduced'} to" if size != side else ""
        words = f"views of {side} pixels{change}" + (f" {size}" if change else "")
        if round(size / self.crop) != side:
            words += f" ({self.interpolation})"
        return words + (f", the central {100 * self.crop:.1f} % of a view's side" if self.crop != 1 else "")


def input_of(own: DataConfig, spec: Teacher, recipe: Recipe) -> TeacherInput:
    """What a network sees whose own preprocessing is `own`; the keys of [teacher] come first.

    A view shows a part of its picture already, `data.size` of `data.resize` pixels: it is cropped further only where
    the teacher's own crop is a smaller part. A random crop is not cropped again.
    """
    data = recipe.data
    theirs, ours = own.size / (own.resize or own.size), data.size / (data.resize or data.size)
    crop = min(1.0, theirs / ours)
    random = data.augment == "crop" and recipe.distill.answers != "recorded"
    size = spec.size or own.size
    return TeacherInput(
        size=None if size == data.size else size,
        interpolation=spec.interpolation or _habit(spec),
        crop=spec.crop or (1.0 if crop > NEAR or random else crop),
    )


def channels_of(spec: Teacher, data: DataConfig) -> tuple[Channels, Channels, str]:
    """Mean and std of a network of [teacher], and where they are from: its own keys, its library where it starts from
    trained weights, or the recipe.
    """
    if spec.mean and spec.std:
        return spec.mean, spec.std, "teacher.mean, teacher.std"
    library = spec.model.partition(":")[0]
    if (about := about_of(spec)) is not None:
        mean, std, origin = about.data.mean, about.data.std, f"of {spec.weights}"
    elif spec.weights and spec.model.startswith(LIBRARIES):
        habit = usual(spec.model)
        mean, std, origin = _three(habit.mean), _three(habit.std), f"{library}'s configuration"
    else:
        mean, std, origin = data.mean, data.std, "data.mean, data.std"
    if spec.mean or spec.std:
        origin = f"teacher.{'mean' if spec.mean else 'std'}, the other from {origin}"
    return spec.mean or mean, spec.std or std, origin


def about_of(spec: Teacher) -> About | None:
    """What a file of weights says of its training; None of one that no training here wrote."""
    if not spec.weights.endswith(checkpoint.FILE) or not Path(spec.weights).is_file():
        return None
    try:
        return checkpoint.read_about(spec.weights)
    except InputError:  # damaged, or somebody else's: who reads the tensors says so
        return None


def refuse_channels(spec: Teacher, why: str) -> None:
    """`InputError` where [teacher] gives a mean or std to what normalises by itself."""
    if spec.mean or spec.std:
        raise InputError(f"{spec.model} {why}: leave teacher.mean and teacher.std out")


def numbers(channels: Sequence[float]) -> str:
    """Three channels for a person."""
    return " ".join(f"{value:.4g}" for value in channels)


def known_interpolation(habit: Usual) -> Interpolation:
    """The library's own, antialiased bilinear where it is one that torch has not."""
    return next((each for each in get_args(Interpolation) if each == habit.interpolation), "bilinear")


def in_parts(images: Tensor) -> Sequence[Tensor]:
    """The images in parts that may be enlarged one after the other."""
    return images.split(BATCH)


def _habit(spec: Teacher) -> Interpolation:
    library = spec.weights and spec.train is None and spec.model.startswith(LIBRARIES)
    return known_interpolation(usual(spec.model)) if library else "bilinear"


def _three(channels: Sequence[float]) -> Channels:
    red, green, blue = channels
    return red, green, blue


def _resized(images: Tensor, side: int, interpolation: Interpolation) -> Tensor:
    planes = images.permute(0, 3, 1, 2).to(torch.float32)
    if interpolation == "nearest":
        planes = F.interpolate(planes, size=(side, side), mode="nearest-exact")
    else:
        planes = F.interpolate(planes, size=(side, side), mode=interpolation, antialias=True)
    return planes.round().clamp(0, 255).permute(0, 2, 3, 1)
