"""distilzoo: big vision teachers become small compiled students.

An app needs one name only: ``zoo.load("name.zoo")`` returns an engine. Importing this package costs a few
milliseconds and needs neither torch nor any runtime: everything heavy is imported by the call that uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.engines import Engine as Engine
    from zoo.engines import Prediction as Prediction
    from zoo.engines import load as load

__version__ = "0.1.0"
__all__ = ["Engine", "Prediction", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name in {"load", "Engine", "Prediction"}:
        import zoo.engines

        return getattr(zoo.engines, name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")
