"""The precisions that an engine can be asked for.

Most are graphs of the bundle. A backend may also execute a graph in another arithmetic than the one it states; such an
execution is a precision of its own, with its own name, its own accuracy and no record in the manifest.
"""

from __future__ import annotations

from typing import get_args

from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Executed, Precision
from zoo.errors import InputError

GRAPHS: tuple[Precision, ...] = get_args(Precision)
# By backend: an execution of its own, and the graph it is an execution of.
EXECUTIONS: dict[str, dict[Executed, Precision]] = {
    "openvino": {"bf16": "fp32"},
    "aotinductor": {"bf16": "fp32"},
}
# By backend: the only graphs that it can run.
ONLY: dict[str, tuple[Precision, ...]] = {"onnxruntime-winograd": ("int8",)}
NAMES: tuple[Executed, ...] = (*GRAPHS, *dict.fromkeys(name for of in EXECUTIONS.values() for name in of))


def offered(bundle: Bundle, backend: str) -> list[Executed]:
    """Every precision that this backend may be asked for with this bundle: its graphs, then executions of them."""
    graphs = bundle.manifest.graphs
    runs = [name for name in graphs if name in ONLY.get(backend, GRAPHS)]
    return [*runs, *(name for name, graph in EXECUTIONS.get(backend, {}).items() if graph in graphs)]


def graph_of(bundle: Bundle, backend: str, precision: str) -> Precision:
    """The graph that `backend` runs in this precision. `InputError` when there is none."""
    if precision not in ONLY.get(backend, (precision,)):
        raise InputError(f"{backend} runs in {' and '.join(ONLY[backend])} alone, not in {precision}")
    for known in bundle.manifest.graphs:
        if known == precision:
            return known
    for name, graph in EXECUTIONS.get(backend, {}).items():
        if name == precision and graph in bundle.manifest.graphs:
            return graph
    elsewhere = [other for other, executions in EXECUTIONS.items() if precision in executions and other != backend]
    if elsewhere:
        raise InputError(f"{backend} does not execute in {precision}; {' and '.join(elsewhere)} can")
    has = ", ".join(offered(bundle, backend) or bundle.manifest.graphs)
    raise InputError(f"{bundle.path} has no {precision} graph; it has: {has}")
