"""A plain ONNX classifier or tagger from anywhere, run on one JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoo.engines.onnxruntime.backend import OnnxRuntime
from zoo.errors import InputError
from zoo.learn.label.names import read_names
from zoo.preprocess import Preprocessing, preprocess
from zoo.tasks.prediction import Prediction
from zoo.tasks.registry import TASKS

if TYPE_CHECKING:
    from zoo.learn.label.config import LabelConfig

NUMBERS = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


class PlainGraph(OnnxRuntime):
    """Input [N, 3, H, W] or [N, H, W, 3] of a fixed size, RGB: uint8, or float normalised by `mean` and `std`."""

    def __init__(self, path: Path, config: LabelConfig) -> None:
        super().__init__(path, precision="fp32", device=config.device, threads=None)
        face = self._session.get_inputs()[0]
        shape, self._numbers = face.shape, NUMBERS.get(face.type)
        self._channels_first = shape[1:2] == [3]
        height, width = (shape[2:4] if self._channels_first else shape[1:3]) if len(shape) == 4 else (None, None)
        if not (self._numbers and isinstance(height, int) and isinstance(width, int) and 3 in (shape[1], shape[3])):
            needed = "uint8 or float [N, 3, H, W] or [N, H, W, 3] with numbers for H and W"
            raise InputError(f"{path} takes {face.type} {shape}; {needed} is needed")
        self._preprocessing = Preprocessing(min(height, width), height, width)
        self._mean, self._std = (np.array(each, dtype=np.float32) for each in (config.mean, config.std))
        if config.labels is None:
            raise InputError("a plain .onnx file needs label.labels: a file with the names of its outputs")
        self._task = TASKS[config.task](read_names(config.labels), height)

    def predict(self, jpeg: bytes) -> Prediction:
        """The labels' scores."""
        pixels, size = preprocess(jpeg, self._preprocessing)
        planes = pixels if self._numbers is np.uint8 else ((pixels / np.float32(255)) - self._mean) / self._std
        planes = planes.transpose(2, 0, 1) if self._channels_first else planes
        output = self.run(np.ascontiguousarray(planes[None], dtype=self._numbers))[0].astype(np.float32)
        if output.shape != (self._task.outputs,):
            raise InputError(f"{len(self._task.labels)} names do not fit the graph's output {list(output.shape)}")
        return self._task.decode(output, self._preprocessing, size)
