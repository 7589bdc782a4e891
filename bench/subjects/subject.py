"""What a case measures once it is opened: functions from pixels or pictures to outputs, and the facts of its row.

`bench.subjects.opening` opens the subject of a case; each kind of subject is made in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.cases import Case
from bench.clock import Compute
from bench.results import EngineFacts
from zoo.engines.layers import LayerTime
from zoo.errors import InputError, missing_package
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.tasks.task import Task

Logits = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
Predict = Callable[[Sequence[bytes]], object]
Layered = Callable[[Any, int], list[LayerTime]]


@dataclass(frozen=True)
class Subject:
    """`logits`: uint8 [N, H, W, 3] -> float32 [N, outputs], H and W as `preprocessing` says.

    `predict`: the bytes of N picture files -> N predictions as an app wants them, decoding included. `decide`: the same
    -> float32 [N, outputs], along the same way. `compute`: the device's seconds for each of so many runs, and
    `layers`: the time of each layer, over so many; None where the backend does not say. `shareable`: whether several
    threads may call it at once. `selftest` raises `VerdictError` when the logits are not the bundle's.
    """

    logits: Logits
    predict: Predict
    decide: Callable[[Sequence[bytes]], npt.NDArray[np.float32]]
    task: Task
    preprocessing: Preprocessing
    engine: EngineFacts
    parameters: int | None
    macs: int | None
    bytes_on_disk: int | None
    compute: Compute | None = None
    layers: Layered | None = None
    shareable: bool = True
    selftest: Callable[[], None] = lambda: None


def preprocess_many(pictures: Sequence[bytes], preprocessing: Preprocessing) -> tuple[Pixels, list[tuple[int, int]]]:
    """The network's pixels of some pictures, by the project's reference, and their sizes."""
    found = [preprocess(picture, preprocessing) for picture in pictures]
    return np.stack([pixels for pixels, _ in found]), [size for _, size in found]


def predictor(logits: Logits, task: Task, preprocessing: Preprocessing) -> Predict:
    """From pictures to predictions, by the one preprocessing of the project."""

    def predict(pictures: Sequence[bytes]) -> object:
        pixels, sizes = preprocess_many(pictures, preprocessing)
        return [task.decode(one, preprocessing, size) for one, size in zip(logits(pixels), sizes, strict=True)]

    return predict


def torch_for(case: Case) -> Any:
    """The module torch, set to the case's threads."""
    if (case.precision, case.device) != ("fp32", "cpu"):
        raise InputError(f"{case.backend} is measured in fp32 on the cpu, not in {case.precision} on {case.device}")
    try:
        import torch
    except ImportError:
        raise missing_package("torch", "train", "measuring a checkpoint") from None
    if case.threads is not None:
        torch.set_num_threads(case.threads)
    return torch


def weight_bytes(checkpoint: Path) -> int | None:
    """Size of a checkpoint's weights; None where a library keeps them."""
    files = [checkpoint] if checkpoint.is_file() else list(checkpoint.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else None
