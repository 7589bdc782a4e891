"""The precisions that an engine can be asked for.

Most are graphs of the bundle. A backend may also execute a graph in another arithmetic than the one it states; such an
execution is a precision of its own, with its own name, its own accuracy and no record in the manifest. What a backend
runs and executes is stated by its class: `graphs` and `executions`.
"""

from __future__ import annotations

from typing import get_args

from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Executed, Precision
from zoo.engines.registry import backend_class, classes
from zoo.errors import InputError

GRAPHS: tuple[Precision, ...] = get_args(Precision)
NAMES: tuple[Executed, ...] = get_args(Executed)


def offered(bundle: Bundle, backend: str) -> list[Executed]:
    """Every precision that this backend may be asked for with this bundle: its graphs, then executions of them."""
    kind, graphs = backend_class(backend), bundle.manifest.graphs
    runs = [name for name in graphs if name in kind.graphs]
    return [*runs, *(name for name, graph in kind.executions.items() if graph in graphs)]


def graph_of(bundle: Bundle, backend: str, precision: str) -> Precision:
    """The graph that `backend` runs in this precision. `InputError` when there is none."""
    kind, graphs = backend_class(backend), bundle.manifest.graphs
    for known in graphs:
        if known == precision and known in kind.graphs:
            return known
    for name, graph in kind.executions.items():
        if name == precision and graph in graphs:
            return graph
    if precision in GRAPHS and precision not in kind.graphs:
        raise InputError(
            f"{backend} runs in {' and '.join((*kind.graphs, *kind.executions))} alone, not in {precision}"
        )
    executing = [name for name, other in classes().items() if precision in other.executions]
    if executing and backend not in executing:
        raise InputError(f"{backend} does not execute in {precision}; {' and '.join(executing)} can")
    has = ", ".join(offered(bundle, backend) or graphs)
    raise InputError(f"{bundle.path} has no {precision} graph; it has: {has}")
