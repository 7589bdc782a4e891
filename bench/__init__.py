"""The bench: what an engine costs and what it keeps, measured so that the numbers can be trusted.

    import bench

    cases = bench.read_suite("suite.toml").plan()  # or [bench.Case(name=..., subject=..., backend=...)]
    results = bench.run(cases, out="results.json", resume=True)

The same objects as in `results.json`: `Results` of `Row`s. Names are imported when they are used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.cases import Case as Case
    from bench.cases import Limits as Limits
    from bench.results import Results as Results
    from bench.results import Row as Row
    from bench.results import read_results as read_results
    from bench.suite.file import Suite as Suite
    from bench.suite.file import read_suite as read_suite
    from bench.suite.runner import run as run

_PLACES = {
    "Case": "bench.cases",
    "Limits": "bench.cases",
    "Results": "bench.results",
    "Row": "bench.results",
    "Suite": "bench.suite.file",
    "read_results": "bench.results",
    "read_suite": "bench.suite.file",
    "run": "bench.suite.runner",
}
__all__ = ["Case", "Limits", "Results", "Row", "Suite", "read_results", "read_suite", "run"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
