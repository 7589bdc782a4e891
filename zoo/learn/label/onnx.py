"""A bundle or a plain ONNX graph as a teacher; scores by softmax for classes, by sigmoid for tags."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.bundle.bundle import MANIFEST
from zoo.engines import Prediction, Scores, load
from zoo.errors import InputError
from zoo.files import sha256
from zoo.learn.label.graph import PlainGraph
from zoo.learn.label.labeller import Answer, read_plain

if TYPE_CHECKING:
    from zoo.learn.label.config import LabelConfig


class Onnx:
    """Its best `max_results` labels; the raw answer is `{"label": score, ...}`, best first."""

    def __init__(self, config: LabelConfig) -> None:
        path = _path(config)
        self._most = config.max_results
        engine = load(path, device=config.device) if path.is_dir() else PlainGraph(path, config)
        self._predict: Callable[[bytes], Prediction] = engine.predict

    def ask(self, jpeg: bytes) -> Answer:
        """One picture, at the size of the graph's input. `InputError` when the graph does not give labels."""
        scores = self._predict(jpeg)
        if not isinstance(scores, Scores):
            raise InputError("the teacher's task has no labels to learn from: classification or tagging is needed")
        best: dict[str, float] = {}
        for label, score in scores.top(self._most):
            best.setdefault(label, round(score, 6))  # ImageNet has two cranes: the likelier one stays
        raw = json.dumps(best, ensure_ascii=False)
        return Answer(raw, self.read(raw))

    @staticmethod
    def identity(config: LabelConfig) -> dict[str, str]:
        """The hash of the graph or of the bundle's manifest, and what a plain graph does not say of itself."""
        path = _path(config)
        most = {"max_results": str(config.max_results)}
        if path.is_dir():
            return {"onnx": sha256(path / MANIFEST), **most}
        labels = {"labels": sha256(config.labels)} if config.labels and config.labels.is_file() else {}
        return {"onnx": sha256(path), **labels, "task": config.task, **most} | {
            key: str(getattr(config, key)) for key in ("mean", "std")
        }

    read = staticmethod(read_plain)


def _path(config: LabelConfig) -> Path:
    assert config.onnx is not None
    if not (config.onnx / MANIFEST).is_file() and not config.onnx.is_file():
        raise InputError(f"label.onnx: no bundle and no ONNX file at {config.onnx}")
    return config.onnx
