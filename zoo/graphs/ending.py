"""What the last operator of a classifier or tagger is, and logits from what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.graphs.index import Index

Ending = Literal["softmax", "log-softmax", "sigmoid", "none"]
OPERATORS: dict[str, Ending] = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}
# What changes no number, at most its form: the softmax is looked for in front of them.
FORMS = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout")
# Which activation makes scores of logits, as a task names it (`Task.activation`).
ACTIVATIONS: dict[Ending, str] = {"softmax": "Softmax", "log-softmax": "Softmax", "sigmoid": "Sigmoid"}


LOGITS_WANTED = "its logits cannot be had back from that; export it without them, so that it ends in logits"
# What selects, orders or averages: scores of 0 to 1 that went in are such scores when they come out.
KEEPS = (
    *FORMS,
    *("Clip", "Concat", "Gather", "Max", "Mean", "Min", "Slice", "Split", "Transpose", "ReduceMax", "ReduceMean"),
    *("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "QuantizeLinear", "DequantizeLinear"),
)
CHANGES = ("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Neg", "Log", "Exp", "Sum")  # the scores are others then


@dataclass(frozen=True)
class LastOperator:
    """`ending`: what it is; `tensor`: its output, which may be reshaped before it leaves the graph; `before`: what it
    reads, where it makes scores.
    """

    ending: Ending
    tensor: str
    before: str = ""


def last_operator(graph: Index, output: str) -> LastOperator:
    """The last operator in front of an output that is more than a change of form. The logarithm of a softmax is one."""
    tensor = graph.behind(output, *FORMS)
    node = graph.maker(tensor)
    if node is None:
        return LastOperator("none", tensor)
    if node.op_type == "Log" and (softmax := graph.maker(graph.behind(node.input[0], *FORMS), "Softmax")) is not None:
        return LastOperator("log-softmax", tensor, str(softmax.input[0]))
    ending = OPERATORS.get(node.op_type, "none")
    return LastOperator(ending, tensor, "" if ending == "none" else str(node.input[0]))


def ending_of(graph: Index, output: str, answer: npt.NDArray[Any], path: Path) -> Ending:
    """What a graph ends in, by its operators and by `answer`, what it says of a few pictures of noise: [N, outputs].

    A softmax, log-softmax or sigmoid that is written out in several operators is found as well. `InputError` where the
    logits cannot be had back: scores of scores, scores that are changed afterwards, and those of another axis.
    """
    last = last_operator(graph, output)
    ending = last.ending
    if ending == "none":
        ending = _written_out(graph, last.tensor, answer)
    else:
        inner = last_operator(graph, last.before).ending
        if inner not in {"none", "log-softmax"} or (inner == "log-softmax" and ending == "sigmoid"):
            raise InputError(f"{path} ends in a {ending} of a {inner}: {LOGITS_WANTED}")
    if ending == "none" and (changed := _changed(graph, last.tensor)):
        raise InputError(f"{path} changes its scores after its {changed}: {LOGITS_WANTED}")
    if ending in {"softmax", "log-softmax"}:
        shares = answer if ending == "softmax" else np.exp(answer.astype(np.float64))
        if answer.shape[1] < 2 or not are_probabilities(shares):
            raise InputError(f"{path} ends in a {ending} that is not taken over its outputs: {LOGITS_WANTED}")
    return ending


def _written_out(graph: Index, tensor: str, answer: npt.NDArray[Any]) -> Ending:
    """The ending that several operators make together, as some exporters write it."""
    several = answer.shape[1] > 1 and answer.dtype.kind == "f"
    if several and are_probabilities(answer):
        return "softmax"
    if several and (answer <= 0).all() and are_probabilities(np.exp(answer.astype(np.float64))):
        return "log-softmax"
    inside = bool(((answer >= 0) & (answer <= 1)).all())
    return "sigmoid" if inside and comes_from_sigmoid(graph, tensor) else "none"


def comes_from_sigmoid(graph: Index, tensor: str) -> bool:
    """Whether a tensor is a selection of a sigmoid's, or a sigmoid that is written out: 1 / (1 + exp(-x)),
    exp(x) / (1 + exp(x)), or (1 + tanh(x / 2)) / 2.
    """
    if _source(graph, tensor, KEEPS) == "Sigmoid":
        return True
    tensor = graph.behind(tensor, *FORMS)
    node = graph.maker(tensor, "Div", "Reciprocal")
    total = None if node is None else graph.maker(node.input[-1], "Add")
    if total is not None:
        first, second = total.input
        pairs = ((first, second), (second, first))
        return any(graph.maker(exp, "Exp") is not None and graph.is_stored(one) for exp, one in pairs)
    return graph.maker(tensor, *CHANGES) is not None and _source(graph, tensor, CHANGES) == "Tanh"


def _changed(graph: Index, tensor: str) -> str:
    """The operator whose scores arithmetic changes afterwards, or one that has no inverse; '' if there is none."""
    source = _source(graph, tensor, (*KEEPS, *CHANGES))
    return source if source in {*OPERATORS, "HardSigmoid"} else ""


def _source(graph: Index, tensor: str, kinds: Sequence[str]) -> str:
    """The kind of operator that all that is not stored comes from, behind any nodes of these kinds; '' for several."""
    found, seen, queue = set(), {tensor}, [tensor]
    while queue:
        node = graph.maker(queue.pop())
        if node is None:
            return ""
        if node.op_type not in kinds:
            found.add(str(node.op_type))
            continue
        new = {name for name in node.input if name and not graph.is_stored(name)} - seen
        seen |= new
        queue += new
    return found.pop() if len(found) == 1 else ""


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
