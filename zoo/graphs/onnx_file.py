"""Opening an ONNX file that is to be converted: refused with one line where it cannot be trusted or used."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper

from zoo.errors import InputError, first_line, nearest
from zoo.graphs.model import opset, weights
from zoo.graphs.signature import Signature
from zoo.graphs.structure import check_weights, outside, tensors
from zoo.graphs.work import WEIGHTED

LARGEST = 2**31 - 1  # protobuf's own limit; whatever is above keeps its weights in another file
OLDEST = 13  # the first operator set with a scale for each channel
FREE_WEIGHTS = 4  # the first IR in which weights are no inputs
FORMATS = ("uint8", "float32")  # of the input of what can be converted


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph in a file, with all its weights in memory. It must be consistent, and sizes are looked at first.

    Weights beside the file are read, functions are written out, and weights that are listed as inputs, as IR 3 asks
    for, are none any more.
    """
    if not path.is_file():
        raise InputError(f"no such ONNX file: {path}")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty")
    if size > LARGEST:
        raise InputError(f"{path} has {size:,} bytes: an ONNX file with its weights inside ends at {LARGEST:,}")
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError:
        raise InputError(f"{path} is no ONNX file, or a damaged one") from None
    if not model.graph.node or not model.opset_import:
        raise InputError(f"{path} is no ONNX file, or a damaged one: it has no operators")
    _read_weights(model, path)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InputError(f"{path} contradicts itself: {first_line(error)}") from None
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _refuse_low_precision(model, path)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in stored]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, FREE_WEIGHTS)
    return model


def _read_weights(model: onnx.ModelProto, path: Path) -> None:
    """Take in the weights that are kept in files beside the graph."""
    size = path.stat().st_size + sum(file.stat().st_size for file in check_weights(path, model.graph))
    if size > LARGEST:
        raise InputError(f"{path} and its weights have {size:,} bytes, and what can be converted ends at {LARGEST:,}")
    for tensor in tensors(model.graph):
        if not (name := outside(tensor)):
            continue
        about = {entry.key: entry.value for entry in tensor.external_data}
        offset = int(about.get("offset", 0))
        with (path.parent / name).open("rb") as file:
            file.seek(offset)
            content = file.read(int(about["length"])) if "length" in about else file.read()
        width = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        if len(content) != math.prod(tensor.dims) * width:
            raise InputError(
                f"{path.parent / name} does not hold the weight {tensor.name} of {path.name}: both files have to be of "
                "one export"
            )
        tensor.raw_data = content
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def picture_signature(model: onnx.ModelProto, path: Path) -> Signature:
    """The signature of a graph whose one input is uint8 or float32 pictures, channels first or last."""
    signature = Signature.of_model(model, path)
    signature.check_picture(FORMATS)
    return signature


def output_of(model: onnx.ModelProto, wanted: str, path: Path) -> str:
    """The output of that name, or the only one. Any tensor of the graph may be named."""
    names = [output.name for output in model.graph.output]
    inner = {name for node in model.graph.node for name in node.output}
    if wanted and wanted not in inner:
        raise InputError(f"{path} has no output '{wanted}'; it has: {', '.join(names)}{nearest(wanted, inner)}")
    if not wanted and (len(names) != 1 or names[0] not in inner):
        raise InputError(f"{path} has {len(names)} outputs; choose one with --output: {', '.join(names)}")
    return wanted or names[0]


def _refuse_low_precision(model: onnx.ModelProto, path: Path) -> None:
    quantised = next((node.op_type for node in model.graph.node if "Quantize" in node.op_type), None)
    halves = [tensor for tensor in weights(model).values() if tensor.data_type == TensorProto.FLOAT16]
    if quantised or halves:
        what = f"is quantised already ({quantised})" if quantised else "is in fp16 already"
        raise InputError(f"{path} {what}: give the fp32 graph that it was made from")
    if not any(node.op_type in WEIGHTED for node in model.graph.node):
        raise InputError(f"{path} holds no network: it has no Conv, Gemm or MatMul")
    if opset(model) < 7:
        raise InputError(f"{path} is of opset {opset(model)}, which is too old to be converted: export it again")
