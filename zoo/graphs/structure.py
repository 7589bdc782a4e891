"""The structure of an ONNX file without the numbers in it, read by protobuf alone: the package onnx is not needed.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto is what the table of fields is from. Protobuf steps over every
field that the table leaves out. The result is read like an `onnx.ModelProto` that has these fields alone, so that
`Index` and `ending_of` serve both.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from zoo.errors import InputError

PACKAGE = "zoo.graphs"
EXTERNAL = 1  # TensorProto.DataLocation
# Message -> field -> (number, type, whether it is repeated).
FIELDS: dict[str, dict[str, tuple[int, str, bool]]] = {
    "Model": {"graph": (7, "Graph", False)},
    "Graph": {
        "node": (1, "Node", True),
        "initializer": (5, "Tensor", True),
        "input": (11, "Value", True),
        "output": (12, "Value", True),
        "value_info": (13, "Value", True),
    },
    "Node": {
        "input": (1, "string", True),
        "output": (2, "string", True),
        "name": (3, "string", False),
        "op_type": (4, "string", False),
        "attribute": (5, "Attribute", True),
        "domain": (7, "string", False),
    },
    "Attribute": {
        "name": (1, "string", False),
        "t": (5, "Tensor", False),
        "g": (6, "Graph", False),
        "tensors": (10, "Tensor", True),
        "graphs": (11, "Graph", True),
    },
    "Tensor": {
        "dims": (1, "int64", True),
        "data_type": (2, "int32", False),
        "name": (8, "string", False),
        "external_data": (13, "Entry", True),
        "data_location": (14, "int32", False),
    },
    "Entry": {"key": (1, "string", False), "value": (2, "string", False)},
    "Value": {"name": (1, "string", False)},
}
SCALARS = {
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
}


def read_structure(path: Path) -> Any:
    """Nodes, names and the shapes of stored tensors. `InputError` when the file is missing or no ONNX file."""
    if not path.is_file():
        raise InputError(f"no such ONNX file: {path}")
    model = _message()()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError:
        raise InputError(f"{path} is no ONNX file, or a damaged one") from None
    return model


def files_of(path: Path) -> list[Path]:
    """The file, and those beside it that keep its weights; each once. A weights file that is missing is left out."""
    names = dict.fromkeys(where for tensor in tensors(read_structure(path).graph) if (where := outside(tensor)))
    return [path, *(file for name in names if (file := path.parent / name).is_file())]


def check_weights(path: Path, graph: Any) -> list[Path]:
    """The files beside a graph that keep its weights. `InputError` for one that is missing or lies anywhere else.

    A graph that was downloaded may name any file of this machine: only those of its own folder are read. A folder of
    links, as hubs keep their downloads in, is one with the folder of the files that they lead to.
    """
    found = []
    for name in dict.fromkeys(where for tensor in tensors(graph) if (where := outside(tensor))):
        file = path.parent / name
        own = {path.parent.resolve(), path.resolve().parent}
        if Path(name).is_absolute() or not own & {file.resolve().parent, *file.resolve().parents}:
            raise InputError(f"{path} names {name} for its weights, which is outside of its folder: it is not read")
        if not file.is_file():
            raise InputError(f"{path} keeps its weights in {name}, which is not beside it: get that file, too")
        found.append(file)
    return found


def parameters(path: Path) -> int:
    """How many numbers the initialisers hold."""
    total = 0
    for tensor in read_structure(path).graph.initializer:
        count = 1
        for side in tensor.dims:
            count *= side
        total += count
    return total


def tensors(graph: Any) -> Iterator[Any]:
    """Every stored tensor of a graph, inside its operators and branches as well."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from tensors(inner)


def outside(tensor: Any) -> str:
    """The file that keeps this tensor's numbers, relative to the graph's folder; '' where they are in the graph."""
    if tensor.data_location != EXTERNAL:
        return ""
    return next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "another file")


@cache
def _message() -> Any:
    """The class of the message `Model`."""
    file = descriptor_pb2.FileDescriptorProto(name="zoo/graphs/structure.proto", package=PACKAGE, syntax="proto2")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            about = message.field.add(name=field, number=number)
            about.label = about.LABEL_REPEATED if repeated else about.LABEL_OPTIONAL
            if kind in SCALARS:
                about.type = SCALARS[kind]
            else:
                about.type, about.type_name = about.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.Model"))
