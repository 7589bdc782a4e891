"""Reading an ONNX file that somebody else wrote: refused with one line where it cannot be trusted or used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from zoo.errors import InputError, first_line, nearest
from zoo.graphs.model import opset, weights
from zoo.graphs.work import WEIGHTED

LARGEST = 2**31 - 1  # protobuf's own limit; whatever is above keeps its weights in another file
OLDEST = 13  # the first operator set with a scale for each channel
INPUTS = {TensorProto.FLOAT, TensorProto.UINT8}


@dataclass(frozen=True)
class Face:
    """How a graph takes its images: `name`, numbers (an ONNX type), whether channels come first, and the side in
    pixels, None where it is free.
    """

    name: str
    numbers: int
    channels_first: bool
    side: int | None


def read_graph(path: Path) -> onnx.ModelProto:
    """The graph in a file. Its size is looked at first, its weights must be inside, and it must be consistent."""
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
    outside = next((tensor for tensor in _tensors(model.graph) if tensor.data_location == TensorProto.EXTERNAL), None)
    if outside is not None:
        where = next((entry.value for entry in outside.external_data if entry.key == "location"), "another file")
        raise InputError(
            f"{path} keeps its weights in {where}: save it as one file, "
            "onnx.save(onnx.load(FILE), OTHER, save_as_external_data=False)"
        )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InputError(f"{path} contradicts itself: {first_line(error)}") from None
    _refuse_low_precision(model, path)
    return model


def face_of(model: onnx.ModelProto, path: Path) -> Face:
    """The one input: [N, 3, side, side] or [N, side, side, 3], uint8 or float32."""
    stored = {tensor.name for tensor in model.graph.initializer}
    faces = [face for face in model.graph.input if face.name not in stored]
    if len(faces) != 1:
        raise InputError(f"{path} has {len(faces)} inputs ({', '.join(f.name for f in faces)}), not one picture")
    kind = faces[0].type.tensor_type
    shape = [side.dim_value if side.HasField("dim_value") else None for side in kind.shape.dim]
    shown = f"{TensorProto.DataType.Name(kind.elem_type).lower()} {[side or '?' for side in shape]}"
    if kind.elem_type not in INPUTS or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        needed = "uint8 or float32 [N, 3, side, side] or [N, side, side, 3]"
        raise InputError(f"{path} takes {shown}, and {needed} is needed")
    first = shape[1] == 3
    sides = {side for side in (shape[2:] if first else shape[1:3]) if side is not None}
    if len(sides) > 1:
        raise InputError(f"{path} takes {shown}: bundles see squares")
    return Face(faces[0].name, kind.elem_type, first, sides.pop() if sides else None)


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


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Every stored tensor, inside operators and branches as well."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _tensors(inner)
