"""Students by family name. To add one: write its file, then name it here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from zoo.errors import InputError, nearest
from zoo.models.mobilenet_v2 import MobileNetV2
from zoo.models.vgg import BLOCKS, VGG, pools_for

Builder = Callable[..., nn.Module]


def _mobilenet_v2(classes: int, size: int, **knobs: Any) -> nn.Module:
    """Keep the last map at 3 pixels or more: one of 2 says little, and oneDNN's depthwise backward is slow on it."""
    if size < 64:
        knobs.setdefault("stem_stride", 1)
    if size < 96:
        knobs.setdefault("last_stride", 1)
    return MobileNetV2(classes, **knobs)


def _vgg(classes: int, size: int, **knobs: Any) -> nn.Module:
    """As many pools as the image can bear; the global-pool head unless the classic one is asked for."""
    depth = knobs.get("depth", 16)
    if depth not in BLOCKS:
        raise InputError(f"vgg has no depth {depth}; there are: {', '.join(map(str, BLOCKS))}")
    knobs.setdefault("pools", pools_for(size))
    knobs.setdefault("head", "pool")
    return VGG(classes, **knobs)


STUDENTS: dict[str, tuple[Builder, type[nn.Module]]] = {
    "mobilenet_v2": (_mobilenet_v2, MobileNetV2),
    "vgg": (_vgg, VGG),
}


def knobs_of(family: str) -> tuple[str, ...]:
    """The names of a family's knobs. `InputError` for an unknown family."""
    if family not in STUDENTS:
        raise InputError(f"no student family '{family}'; there are: {', '.join(STUDENTS)}{nearest(family, STUDENTS)}")
    signature = inspect.signature(STUDENTS[family][1].__init__)
    return tuple(name for name, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY)


def build(family: str, *, classes: int, size: int, **knobs: Any) -> nn.Module:
    """A student with fresh weights: float [N, 3, size, size] -> logits [N, classes].

    `knobs` are the family's own (width, depth ...); what depends on the image size has a default that fits it.
    """
    known = knobs_of(family)
    for knob in knobs:
        if knob not in known:
            raise InputError(f"{family} has no knob '{knob}'; it has: {', '.join(known)}{nearest(knob, known)}")
    return STUDENTS[family][0](classes, size, **knobs)
