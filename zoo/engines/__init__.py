"""Everything an app needs to run a bundle. No torch here, and nothing is imported before it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.bundle.bundle import Bundle
    from zoo.engines.engine import Engine
    from zoo.engines.loading import load
    from zoo.tasks.prediction import Points, Prediction, Scores

    BACKENDS: tuple[str, ...]  # the names of all
    RUNTIMES: tuple[str, ...]  # those that run any graph as it is, without `zoo build`

__all__ = ["BACKENDS", "RUNTIMES", "Bundle", "Engine", "Points", "Prediction", "Scores", "load"]

_PLACES = {
    "Bundle": "zoo.bundle.bundle",
    "Engine": "zoo.engines.engine",
    "Points": "zoo.tasks.prediction",
    "Prediction": "zoo.tasks.prediction",
    "Scores": "zoo.tasks.prediction",
    "load": "zoo.engines.loading",
}


def __getattr__(name: str) -> Any:
    if name in {"BACKENDS", "RUNTIMES"}:
        from zoo.engines import registry

        return registry.names() if name == "BACKENDS" else registry.runtimes()
    if name not in _PLACES:
        raise AttributeError(f"module 'zoo.engines' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
