"""Which loggers a recipe may name in `train.loggers`. Known without Lightning, so that a typo is found at once."""

from __future__ import annotations

from collections.abc import Iterable

from zoo import plugins
from zoo.errors import InputError, nearest

OURS = ("csv", "tensorboard")
GROUP = "distilzoo.loggers"  # the entry points by which other packages add theirs


def check_loggers(names: Iterable[str]) -> None:
    """`InputError` for the first name that no logger has."""
    known = [*OURS, *(name for name in plugins.found(GROUP) if name not in OURS)]
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise InputError(f"train.loggers: there is no '{name}'; there are: {', '.join(known)}{hint}")
