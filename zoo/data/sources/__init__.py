"""Where images come from. Each module here is one source: its name is what `data.source` says, its `SOURCE` reads them.

Other installed packages add theirs by an entry point of the group `distilzoo.sources`, which names a
`zoo.data.source.Source`.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from zoo import plugins
from zoo.data.config import DataConfig
from zoo.data.source import Source
from zoo.errors import EnvironmentProblem, InputError, nearest

GROUP = "distilzoo.sources"


def names() -> list[str]:
    """What `data.source` may be, ours first; nothing is imported."""
    ours = _ours()
    return [*ours, *(name for name in plugins.found(GROUP) if name not in ours)]


def find(name: str) -> Source:
    """The source of that name. `InputError` where there is none, `EnvironmentProblem` for one that another package
    adds and that is no source.
    """
    if name in _ours():
        ours: Source = import_module(f"{__name__}.{name}").SOURCE
        return ours
    added = plugins.found(GROUP).get(name)
    if added is None:
        there = nearest(name, names()) or f"; there are {', '.join(names())}"
        raise InputError(f"data.source: there is no '{name}'{there}")
    theirs = plugins.load(added)
    if not isinstance(theirs, Source):
        raise EnvironmentProblem(f"{added.value}, the data source '{name}', is no zoo.data.source.Source")
    return theirs


def check(config: DataConfig) -> None:
    """`InputError` when there is no such source, or when its pictures cannot be read as `config` says."""
    if find(config.source).whole and config.resize not in (None, config.size):
        raise InputError(
            f"data.resize crops the picture, and targets would be outside: leave it out for {config.source}"
        )


def _ours() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))
