"""The parts that a page is made of: a section holds figures, and a figure its numbers for those who cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True)
class Numbers:
    """A small table: `text` says which columns are words, which stand on the left; the others are numbers."""

    title: str
    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[int] = (0,)
    folded: bool = True


@dataclass(frozen=True)
class Figure:
    """A drawing. `label` is what a screen reader says in its place. `listed`: no wider than an eye can follow."""

    key: str
    label: str
    spec: Spec
    title: str = ""
    numbers: Numbers | None = None
    listed: bool = False


@dataclass(frozen=True)
class Section:
    """A heading, a sentence or two that say how to read it, drawings, a table, notes. `roles`: the key of marks."""

    key: str
    title: str
    about: str
    figures: Sequence[Figure] = ()
    numbers: Numbers | None = None
    notes: Sequence[str] = ()
    roles: bool = False
    short: str = ""

    @property
    def link(self) -> str:
        """The section in a word or two, for the list at the top of the page."""
        return self.short or self.title
