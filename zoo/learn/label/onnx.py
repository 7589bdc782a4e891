"""A bundle or a foreign ONNX file as a teacher; scores by softmax for classes, by sigmoid for tags."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.bundle.bundle import MANIFEST
from zoo.engines import Prediction, Scores, load
from zoo.errors import InputError
from zoo.files import sha256
from zoo.graphs.ending import ACTIVATIONS, Ending, comes_from_sigmoid, last_operator
from zoo.graphs.foreign import ForeignGraph
from zoo.graphs.index import Index
from zoo.graphs.structure import files_of, read_structure
from zoo.learn.label.labeller import Reply, read_plain
from zoo.learn.label.names import read_names
from zoo.preprocess import Preprocessing, preprocess
from zoo.tasks.registry import TASKS
from zoo.tasks.task import Task

if TYPE_CHECKING:
    from zoo.learn.label.config import LabelConfig


class Onnx:
    """Its best `max_results` labels; the raw reply is `{"label": score, ...}`, best first."""

    def __init__(self, config: LabelConfig) -> None:
        path = _path(config)
        self._most = config.max_results
        engine = load(path, device=config.device) if path.is_dir() else PlainGraph(path, config)
        self._predict: Callable[[bytes], Prediction] = engine.predict

    def ask(self, jpeg: bytes) -> Reply:
        """One picture, at the size of the graph's input. `InputError` when the graph does not give labels."""
        scores = self._predict(jpeg)
        if not isinstance(scores, Scores):
            raise InputError("the teacher's task has no labels to learn from: classification or tagging is needed")
        best: dict[str, float] = {}
        for label, score in scores.top(self._most):
            best.setdefault(label, round(score, 6))  # ImageNet has two cranes: the likelier one stays
        raw = json.dumps(best, ensure_ascii=False)
        return Reply(raw, self.read(raw))

    @staticmethod
    def identity(config: LabelConfig) -> dict[str, str]:
        """The hash of the graph or of the bundle's manifest, and what a plain graph does not say of itself.

        How a graph ends is named where it ends in scores: earlier versions applied a softmax or a sigmoid to them once
        more, and what they stored is not what is said now.
        """
        path = _path(config)
        most = {"max_results": str(config.max_results)}
        if path.is_dir():
            return {"onnx": sha256(path / MANIFEST), **most}
        labels = {"labels": sha256(config.labels)} if config.labels and config.labels.is_file() else {}
        beside = {f"onnx.{file.name}": sha256(file) for file in files_of(path)[1:]}
        last = last_operator(graph := Index(read_structure(path)), _first_output(path))
        ending = "sigmoid" if comes_from_sigmoid(graph, last.tensor) else last.ending
        ends = {} if ending == "none" else {"ending": ending}
        return {"onnx": sha256(path), **beside, **labels, "task": config.task, **ends, **most} | {
            key: str(getattr(config, key)) for key in ("mean", "std")
        }

    read = staticmethod(read_plain)


class PlainGraph:
    """A classifier or tagger in an ONNX file that `ForeignGraph` takes, of a fixed size. Its first output counts."""

    def __init__(self, path: Path, config: LabelConfig) -> None:
        self._graph = ForeignGraph(
            path,
            output=_first_output(path),
            mean=config.mean,
            std=config.std,
            device=config.device,
            option="zoo export --size",
        )
        height, width = self._graph.height, self._graph.width
        self._preprocessing = Preprocessing(min(height, width), height, width)
        if config.labels is None:
            raise InputError("a plain .onnx file needs label.labels: a file with the names of its outputs")
        names = read_names(config.labels)
        if len(names) != self._graph.outputs:
            raise InputError(f"{len(names)} names do not fit the graph's output [{self._graph.outputs}]")
        # A graph that ends in scores has decided itself what they are.
        self._task = _task_of(self._graph.ending, config)(names, height)

    def predict(self, jpeg: bytes) -> Prediction:
        """The scores of the labels: those that the graph itself says, where it ends in a softmax or a sigmoid."""
        pixels, size = preprocess(jpeg, self._preprocessing)
        return self._task.decode(self._graph(np.asarray(pixels)[None])[0], self._preprocessing, size)


def _first_output(path: Path) -> str:
    outputs = read_structure(path).graph.output
    if not outputs:
        raise InputError(f"{path} is no ONNX file, or a damaged one: it has no output")
    return str(outputs[0].name)


def _path(config: LabelConfig) -> Path:
    assert config.onnx is not None
    if not (config.onnx / MANIFEST).is_file() and not config.onnx.is_file():
        raise InputError(f"label.onnx: no bundle and no ONNX file at {config.onnx}")
    return config.onnx


def _task_of(ending: Ending, config: LabelConfig) -> type[Task]:
    """The task whose scores the graph ends in; the recipe says it where the graph ends in logits."""
    found = (task for task in TASKS.values() if task.activation == ACTIVATIONS.get(ending, ""))
    return TASKS[config.task] if ending == "none" else next(found)
