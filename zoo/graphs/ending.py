"""What the last operator of a classifier or tagger is, and logits from what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.graphs.index import Index

Ending = Literal["softmax", "log-softmax", "sigmoid", "none"]
OPERATORS: dict[str, Ending] = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}
# What changes no number, at most its form: the softmax is looked for in front of them.
FORMS = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout")
# Which activation makes scores of logits, as a task names it (`Task.activation`).
ACTIVATIONS: dict[Ending, str] = {"softmax": "Softmax", "log-softmax": "Softmax", "sigmoid": "Sigmoid"}


@dataclass(frozen=True)
class LastOperator:
    """`ending`: what it is; `tensor`: its output, which may be reshaped before it leaves the graph."""

    ending: Ending
    tensor: str


def last_operator(graph: Index, output: str) -> LastOperator:
    """The last operator in front of an output that is more than a change of form."""
    tensor = graph.behind(output, *FORMS)
    node = graph.maker(tensor)
    return LastOperator("none" if node is None else OPERATORS.get(node.op_type, "none"), tensor)


def are_probabilities(values: npt.NDArray[Any]) -> bool:
    """Whether [N, outputs] are positive numbers that sum up to one in each row, as a softmax makes them."""
    return bool(
        values.dtype.kind == "f"
        and (values >= 0).all()
        and np.allclose(values.sum(axis=1, dtype=np.float64), 1, atol=1e-2)
    )


def to_logits(values: npt.NDArray[Any], ending: Ending) -> npt.NDArray[np.float32]:
    """Logits float32 of what a graph with this ending says: the softmax, or the sigmoid, of the result is `values`.

    softmax: log p, which differs from the network's own logits by a constant in each row and is the same to every
    softmax behind it; sigmoid: log p - log(1 - p). Numbers that the format rounded to 0 or 1 are taken for the nearest
    that it can hold. A log-softmax's numbers are logits already.
    """
    if ending in {"none", "log-softmax"}:
        return values.astype(np.float32)
    about = np.finfo(values.dtype)
    least = max(float(np.finfo(np.float32).tiny), float(about.smallest_subnormal))
    if ending == "softmax":
        return np.log(values.astype(np.float32).clip(least))
    exact = values.astype(np.float64).clip(least, 1 - float(about.epsneg))
    return (np.log(exact) - np.log1p(-exact)).astype(np.float32)
