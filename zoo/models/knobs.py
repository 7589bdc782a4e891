"""Knobs: a family's keyword-only arguments. Their annotations say what a recipe may set them to, and are enforced."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import nn

from zoo.errors import InputError, nearest

Width = Annotated[float, Field(gt=0, allow_inf_nan=False, description="multiplies every channel count")]
Stride = Literal[1, 2]
Halvings = Annotated[int, Field(ge=0, le=4, description="how many of the four strides behind the stem stay 2")]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Norm = Literal["batch", "layer", "instance", "group"]
Activation = Literal["relu", "relu6", "leaky_relu", "hardswish", "silu", "gelu"]


def knob_names(network: type[nn.Module]) -> tuple[str, ...]:
    """The knobs of a network's constructor."""
    signature = inspect.signature(network.__init__)
    return tuple(name for name, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY)


def knobs_given(settings: Iterable[str]) -> dict[str, Any]:
    """What command lines say as KNOB=VALUE, with values as TOML or bare words. `InputError` for anything else."""
    knobs: dict[str, Any] = {}
    for setting in settings:
        knob, equals, text = setting.partition("=")
        if not equals:
            raise InputError(f"--set takes knob=value, not '{setting}'")
        try:
            knobs[knob] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            knobs[knob] = text
    return knobs


def check_knobs(family: str, network: type[nn.Module], knobs: Mapping[str, Any]) -> None:
    """`InputError` for the first knob that the family lacks, or whose value its annotation does not admit."""
    known = knob_names(network)
    types = get_type_hints(network.__init__, include_extras=True)
    for knob, value in knobs.items():
        if knob not in known:
            raise InputError(f"{family} has no knob '{knob}'; it has: {', '.join(known)}{nearest(knob, known)}")
        try:
            TypeAdapter(types[knob], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            wanted = error.errors()[0]["msg"].removeprefix("Input ")
            raise InputError(f"{family}: {knob} {wanted}, not {value!r}") from None
