"""Packing any torch network: what a Python program calls, and what a library's model goes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.packing.onnx import refuse_training
from export.packing.pipeline import Packing
from export.packing.request import PRECISIONS, Evidence, Options, Request
from export.packing.sources.torch_network import TorchSource
from zoo.bundle.manifest import Manifest, Precision
from zoo.errors import InputError, first_line, nearest
from zoo.models.library import MEAN, STD
from zoo.models.normalisation import Normalised
from zoo.models.outputs import NoTensor
from zoo.models.weights.adopt import weights_sha256
from zoo.preprocess import Preprocessing
from zoo.tasks.registry import TASKS
from zoo.tasks.task import Task


def pack(
    module: nn.Module,
    out: str | Path,
    *,
    labels: Sequence[str],
    size: int,
    evidence: Evidence,
    task: str = "classification",
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    resize: int | None = None,
    name: str | None = None,
    precisions: Sequence[Precision] = PRECISIONS,
    provenance: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Manifest:
    """Pack `module`, in eval mode, which takes float32 [N, 3, size, size] and returns float32 [N, outputs].

    The bundle takes uint8 [N, size, size, 3] RGB: scaling to 0..1, `mean` and `std` become part of every graph.
    `labels` name the classes, tags or points in output order; `task` is classification, tagging or keypoints; `resize`
    is the short side in pixels before an app's centre crop (the size). `evidence` holds real images, uint8
    [N, size, size, 3]: some for calibration, others to compare graphs with the module by logits and by the metric.

    Raises `InputError` for what does not fit, `VerdictError` when a graph fails a check; then nothing is written.
    """
    path = Path(out)
    name = name or path.stem
    refuse_training(module, name)
    preprocessing, problem, options = preprocessing_of(size, resize), task_of(task, labels, size), options or Options()
    check_channels(mean, std)
    network = Normalised(module, mean, std).eval()
    _check_output(network, size, name)
    request = Request(
        TorchSource(network, name, size, size, problem.output, options.opset, options.max_batch),
        name,
        problem,
        preprocessing,
        evidence,
        {"weights_sha256": weights_sha256(module)} | dict(provenance or {}),
        precisions,
        options,
    )
    return Packing(request, path).run()


def preprocessing_of(size: int, resize: int | None) -> Preprocessing:
    """Short side to `resize` pixels (the size), then the centre `size` x `size`. `InputError` if that is not inside."""
    if size < 1 or (resize is not None and resize < size):
        raise InputError(f"resize ({resize}) must be at least size ({size})")
    return Preprocessing(resize or size, size, size)


def task_of(name: str, labels: Sequence[str], size: int) -> Task:
    """The task of that name, with these labels. `InputError` when there is none."""
    if name not in TASKS:
        raise InputError(f"no task '{name}'; there are: {', '.join(TASKS)}{nearest(name, TASKS)}")
    if not labels:
        raise InputError("no labels: name the network's outputs, in their order")
    return TASKS[name](list(labels), size)


def check_channels(mean: Sequence[float], std: Sequence[float]) -> None:
    """`InputError` unless these are mean and standard deviation of three channels."""
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise InputError(f"mean and std are three numbers each, std above 0: not {list(mean)} and {list(std)}")


def _check_output(network: Normalised, size: int, name: str) -> None:
    device = next((tensor.device for tensor in network.network.parameters()), torch.device("cpu"))
    if device.type != "cpu":
        raise InputError(f"{name} lies on {device}: move it to the CPU first, module.cpu()")
    with torch.no_grad():
        try:
            output = network(torch.zeros(2, size, size, 3, dtype=torch.uint8))
        except NoTensor as error:
            raise InputError(f"{name} answers with {error}, and float32 [2, outputs] is needed") from None
        except RuntimeError as error:
            reason = first_line(error)
            raise InputError(f"{name} does not take float32 [2, 3, {size}, {size}]: {reason}") from error
    if output.ndim != 2 or not output.is_floating_point():
        raise InputError(f"{name} answers with {list(output.shape)}, and float32 [2, outputs] is needed")
