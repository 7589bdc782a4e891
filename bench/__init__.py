"""The bench: what an engine costs and what it keeps, measured so that the numbers can be trusted.

    import bench

    cases = bench.read_suite("suite.toml").plan()  # or [bench.Case(name=..., subject=..., backend=...)]
    results = bench.run(cases, out="results.json", resume=True)

The same objects as in `results.json`: `Results` of `Row`s. Names are imported when they are used.

The rooms and files, from bottom to top; each imports only itself and what stands before it in this list:

    stats       order statistics, intervals, Student's t
    numbers     lists and names on a command line
    cases       what is asked for: one model on one engine
    evidence    what a row says besides times: start, energy, GPU, limit, layers
    host        the machine that a number belongs to
    results     `results.json`: rows with raw times, their statistics
    inputs      random images that engines are fed with
    clock       times by the host's clock or by the device's own
    gpu         which GPU is meant, and its state (NVML)
    lifeline    the child's half of `processes`
    processes   starts a child process that never outlives its parent
    subjects    what is measured, opened: a bundle, a network of torch, a peer, a foreign ONNX file, libzoo's loop
    measure     times one opened case: warm-up, rounds, stop rules; energy and saturation
    show        results as tables, a sentence, CSV, JSON of pytest-benchmark
    roofline    the ceilings of this machine, and the least time of each row under them
    suite       from a command line or a TOML file to a list of cases, each measured in a process
    gate        pass, fail or inconclusive: a candidate against a baseline
    tune        the fastest engine of a bundle that keeps its accuracy
    campaign    many `zoo` commands, in slices, resumable
    page        the report as one HTML page
    history     results side by side and over time
    training    training throughput
    schema      JSON Schemas of the files
    cli         `zoo bench`
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
