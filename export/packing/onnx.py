"""From a torch module to an ONNX graph with the bundle's one signature, the same bytes for the same module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from zoo.errors import InputError, ZooError, first_line
from zoo.graphs.model import opset, strip
from zoo.quiet import quiet

OPSET = 20  # the exporter's own default; IR 10, read by ONNX Runtime >= 1.17, OpenVINO >= 2024, TensorRT >= 10
MAX_BATCH = 1024


def to_onnx(
    module: nn.Module,
    height: int,
    width: int,
    *,
    name: str,
    output: str = "logits",
    version: int = OPSET,
    max_batch: int = MAX_BATCH,
) -> onnx.ModelProto:
    """Export a module that takes uint8 [N, height, width, 3] and answers float32 [N, size].

    The input is called `image`, the output `output`, N is free from 1 to `max_batch`; `version` is the operator set.
    Raises `InputError` for a module in train mode (Dropout and BatchNorm would be exported as such, silently) and for
    an operator set that the exporter does not write, `ZooError` for what cannot be exported.
    """
    refuse_training(module, name)
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    try:
        # The exporter prints its progress and logs per operator; what matters of it is checked afterwards.
        with quiet("torch.onnx", printing=True, warning=True), _PlainPools():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=version,
                input_names=["image"],
                output_names=[output],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=max_batch)},),
                external_data=False,
                optimize=True,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise ZooError(f"{name} cannot be exported to ONNX: {_cause(error)}") from error
    except ValueError as error:  # an operator set that it has never heard of
        raise InputError(f"{name}: opset {version}: {_cause(error)}") from error
    assert program is not None  # only the legacy exporter returns nothing
    model = program.model_proto
    strip(model)
    if opset(model) != version:  # what it does with versions it does not write: a line in a log, and another graph
        raise InputError(f"{name}: asked for opset {version}, the exporter wrote {opset(model)}: ask for {OPSET}")
    onnx.checker.check_model(model, full_check=True)
    return model


class _PlainPools(TorchFunctionMode):
    """A pool to one pixel is traced as the mean that it is.

    Of a channels_last map, as the input's Transpose makes them, torch makes of it that mean and an `as_strided`,
    which in ONNX picks every number by an index computed from the batch size. That costs ten nodes; ONNX Runtime
    copies some of them between CPU and GPU and then refuses to record a CUDA graph; and OpenVINO takes the batch
    size from the first convolution: with a quantiser behind it, all its channels then get the first channel's bias.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(zip(("input", "output_size"), args, strict=False)) | dict(kwargs or {})
        if func is nn.functional.adaptive_avg_pool2d and given["output_size"] in (1, (1, 1), [1, 1]):
            return given["input"].mean((-2, -1), keepdim=True)
        return func(*args, **(kwargs or {}))


def refuse_training(module: nn.Module, name: str) -> None:
    """`InputError` for a module of which any part is in train mode."""
    part = next((part for part, inner in module.named_modules() if inner.training), None)
    if part is not None:
        which = f" ({part})" if part else ""
        raise InputError(f"{name} is in train mode{which}: call .eval() before it is exported")


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return first_line(error)
