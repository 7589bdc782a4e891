"""Which calibration an int8 graph gets, and which layers it leaves in fp32 so that the accuracy budget holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx

from export.packing.quantise.calibrate import METHODS, Method, Statistics
from export.packing.quantise.quantize import Flavour, quantise, statistics
from zoo.graphs.model import layer_names
from zoo.preprocess import Pixels
from zoo.progress import track
from zoo.tasks.task import Task

Choice = Literal["minmax", "entropy", "percentile", "auto"]
RunGraph = Callable[[onnx.ModelProto, Pixels], npt.NDArray[np.float32]]

RANKING_IMAGES = 64  # images that rank the layers: a layer changes the logits of all, and there may be a hundred layers
MOST = 0.5  # of the layers: a graph that has to keep more of them in fp32 is no int8 graph


@dataclass(frozen=True)
class Attempt:
    """An int8 graph, how it was calibrated, and the layers that stayed in fp32, each with the reason."""

    model: onnx.ModelProto
    method: Method
    tried: dict[str, float] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


def attempts(
    fp32: onnx.ModelProto,
    flavour: Flavour,
    images: Pixels,
    *,
    choice: Choice,
    logits_of: RunGraph,
    task: Task,
    targets: npt.NDArray[Any] | None,
) -> Iterator[Attempt]:
    """int8 graphs, the simplest first: everything quantised, then with more and more layers in fp32, the one that
    changes the logits most when it alone is quantised first. Take the first that is good enough; nothing is computed
    before it is asked for.

    `images` calibrate, uint8 [N, H, W, 3]. `auto` takes the method with the best metric on them, so that the test
    images stay out of the choice; between equals, the one whose logits are nearest to fp32's. Without `targets` of the
    images it is the one that agrees best with fp32.
    """
    seen = statistics(fp32, images, histograms=choice != "minmax")
    if choice == "auto":
        first = _best(fp32, flavour, seen, images, logits_of, task, targets)
    else:
        first = Attempt(quantise(fp32, flavour, seen.cut(choice)), choice)
    yield first
    ranges, names = seen.cut(first.method), layer_names(fp32)
    ranked = _ranked(fp32, flavour, seen, first.method, images[:RANKING_IMAGES], logits_of)
    count = 1
    while count <= MOST * len(ranked):
        without = _with_activations(fp32, [node for node, _ in ranked[:count]])
        model = quantise(fp32, flavour, ranges, without=without)
        reasons = {names[node]: f"alone in int8 it moves the outputs by {moved:.3g}" for node, moved in ranked[:count]}
        yield Attempt(model, first.method, first.tried, reasons)
        count *= 2


def _best(
    fp32: onnx.ModelProto,
    flavour: Flavour,
    seen: Statistics,
    images: Pixels,
    logits_of: RunGraph,
    task: Task,
    targets: npt.NDArray[Any] | None,
) -> Attempt:
    reference = logits_of(fp32, images)
    models = {method: quantise(fp32, flavour, seen.cut(method)) for method in METHODS}
    found = {method: logits_of(model, images) for method, model in models.items()}
    tried: dict[str, float] = {}
    merits: dict[Method, tuple[float, float]] = {}
    for method, logits in found.items():
        if targets is None:
            tried[method] = merit = task.agreement(logits, reference)
        else:
            tried[method] = task.score(logits, targets)[task.metric]
            merit = -task.lost(0.0, tried[method])
        merits[method] = merit, -float(np.abs(logits - reference).mean())
    best = max(METHODS, key=merits.__getitem__)
    return Attempt(models[best], best, tried)


def _ranked(
    fp32: onnx.ModelProto, flavour: Flavour, seen: Statistics, method: Method, images: Pixels, logits_of: RunGraph
) -> list[tuple[str, float]]:
    """(node, mean |difference| of the logits when it alone is quantised), the largest first."""
    reference, ranges, names = logits_of(fp32, images), seen.cut(method), layer_names(fp32)
    moved = []
    with track("looking for the layers that int8 hurts", len(names)) as advance:
        for node in names:
            alone = quantise(fp32, flavour, ranges, only=_with_activations(fp32, [node]))
            moved.append((node, float(np.abs(logits_of(alone, images) - reference).mean())))
            advance()
    return sorted(moved, key=lambda entry: -entry[1])


def _with_activations(model: onnx.ModelProto, nodes: list[str]) -> list[str]:
    """The nodes and the activations behind them, which are computed with them."""
    outputs = {name for node in model.graph.node if node.name in nodes for name in node.output}
    behind = [node.name for node in model.graph.node if node.op_type in {"Clip", "Relu"} and node.input[0] in outputs]
    return [*nodes, *behind]
