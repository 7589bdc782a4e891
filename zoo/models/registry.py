"""Students by family name. To add one: write its file in `families/`, which ends in a `Student`, and name it here."""

from __future__ import annotations

from typing import Any

from torch import nn

from zoo import plugins
from zoo.errors import EnvironmentProblem, InputError, nearest
from zoo.models.families import mobilenet_v1, mobilenet_v2, mobilenet_v3, mobileone, repvgg, vgg
from zoo.models.knobs import check_knobs, knob_names
from zoo.models.student import Student

FILES = (mobilenet_v1, mobilenet_v2, mobilenet_v3, vgg, repvgg, mobileone)
GROUP = "distilzoo.students"  # the entry points by which other packages add theirs

STUDENTS: dict[str, Student] = {file.STUDENT.name: file.STUDENT for file in FILES}


def names() -> list[str]:
    """All families, ours first; none of another package is imported."""
    return [*STUDENTS, *(name for name in plugins.found(GROUP) if name not in STUDENTS)]


def knobs_of(family: str) -> tuple[str, ...]:
    """The names of a family's knobs. `InputError` for an unknown family."""
    return knob_names(student(family).network)


def build(family: str, *, classes: int, size: int, **knobs: Any) -> nn.Module:
    """A student with fresh weights: float [N, 3, size, size] -> logits [N, classes].

    `knobs` are the family's own (width, depth ...); what depends on the image size has a default that fits it.
    `InputError` for an unknown family or knob, and for a value that a knob does not admit.
    """
    found = student(family)
    check_knobs(family, found.network, knobs)
    return found.network(classes, **{**found.fitting(size), **knobs})


def student(family: str) -> Student:
    """The family of that name. `InputError` where there is none, `EnvironmentProblem` for one that another package
    adds and that is no student.
    """
    if family in STUDENTS:
        return STUDENTS[family]
    added = plugins.found(GROUP).get(family)
    if added is None:
        raise InputError(f"no student family '{family}'; there are: {', '.join(names())}{nearest(family, names())}")
    theirs = plugins.load(added)
    if not isinstance(theirs, Student):
        raise EnvironmentProblem(f"{added.value}, the student '{family}', is no zoo.models.student.Student")
    return theirs
