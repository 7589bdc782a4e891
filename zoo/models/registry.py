"""Students by family name. To add one: write its file, then name it here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from zoo.errors import InputError, nearest
from zoo.models.families.layers import halvings_for, strides_for
from zoo.models.families.mobilenet_v1 import MobileNetV1
from zoo.models.families.mobilenet_v2 import MobileNetV2
from zoo.models.families.mobilenet_v3 import MobileNetV3
from zoo.models.families.mobileone import MobileOne
from zoo.models.families.repvgg import RepVGG
from zoo.models.families.vgg import VGG
from zoo.models.knobs import check_knobs, knob_names

Fitting = Callable[[int], dict[str, Any]]  # image size -> the knobs that depend on it


def _pools(size: int) -> dict[str, Any]:
    """As many pools as the image can bear; the global-pool head unless another one is asked for."""
    return {"pools": halvings_for(size), "head": "pool"}


STUDENTS: dict[str, tuple[type[nn.Module], Fitting]] = {
    "mobilenet_v1": (MobileNetV1, strides_for),
    "mobilenet_v2": (MobileNetV2, strides_for),
    "mobilenet_v3": (MobileNetV3, strides_for),
    "vgg": (VGG, _pools),
    "repvgg": (RepVGG, strides_for),
    "mobileone": (MobileOne, strides_for),
}


def knobs_of(family: str) -> tuple[str, ...]:
    """The names of a family's knobs. `InputError` for an unknown family."""
    return knob_names(_student(family)[0])


def build(family: str, *, classes: int, size: int, **knobs: Any) -> nn.Module:
    """A student with fresh weights: float [N, 3, size, size] -> logits [N, classes].

    `knobs` are the family's own (width, depth ...); what depends on the image size has a default that fits it.
    `InputError` for an unknown family or knob, and for a value that a knob does not admit.
    """
    network, fitting = _student(family)
    check_knobs(family, network, knobs)
    return network(classes, **{**fitting(size), **knobs})


def _student(family: str) -> tuple[type[nn.Module], Fitting]:
    if family not in STUDENTS:
        raise InputError(f"no student family '{family}'; there are: {', '.join(STUDENTS)}{nearest(family, STUDENTS)}")
    return STUDENTS[family]
