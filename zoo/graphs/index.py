"""A Q/DQ graph as the rewrite reads it: who makes a tensor, who reads it, what is stored, which tensors are levels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Levels:
    """A uint8 tensor that stands for numbers: level q for `(q - zero) * scale`."""

    tensor: str
    scale: float
    zero: int


class Graph:
    """A model with indices. It is never changed."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        graph = model.graph
        self.nodes = list(graph.node)
        self.made = {name: node for node in self.nodes for name in node.output if name}
        self.place = {name: place for place, node in enumerate(self.nodes) for name in node.output}
        self.outputs = {output.name for output in graph.output}
        self._readers: dict[str, int] = {}
        for node in self.nodes:
            for name in reads(node):
                self._readers[name] = self._readers.get(name, 0) + 1
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self._stored[node.output[0]] = node.attribute[0].t
        self.inputs = {info.name for info in graph.input} - self._stored.keys()
        inferred = onnx.shape_inference.infer_shapes(model).graph
        infos = [*inferred.value_info, *inferred.input, *inferred.output]
        self._types = {info.name: info.type.tensor_type for info in infos}

    def stored(self, name: str) -> Array | None:
        """The numbers of a tensor that is part of the file."""
        tensor = self._stored.get(name)
        return None if tensor is None else onnx.numpy_helper.to_array(tensor)

    def is_stored(self, name: str) -> bool:
        """Whether a tensor is part of the file."""
        return name in self._stored

    def is_uint8(self, name: str) -> bool:
        """Whether a tensor is known to be of that type."""
        return name in self._types and self._types[name].elem_type == onnx.TensorProto.UINT8

    def shape(self, name: str) -> list[Any] | None:
        """A tensor's sides: numbers, and None where a side is open; None for a tensor of unknown rank."""
        kind = self._types.get(name)
        if kind is None or not kind.HasField("shape"):
            return None
        return [side.dim_value if side.HasField("dim_value") else None for side in kind.shape.dim]

    def read_once(self, name: str) -> bool:
        """Whether exactly one node reads a tensor, once, and nobody outside the graph does."""
        return self._readers.get(name) == 1 and name not in self.outputs

    def maker(self, name: str, *kinds: str) -> onnx.NodeProto | None:
        """The node that makes a tensor, if it is of one of these kinds."""
        node = self.made.get(name)
        return node if node is not None and node.op_type in kinds else None

    def levels(self, name: str) -> Levels | None:
        """What a float tensor is the dequantised form of: the levels of an activation, one scale for all of them."""
        node = self.maker(name, "DequantizeLinear")
        if node is None or self.is_stored(node.input[0]) or not self.is_uint8(node.input[0]):
            return None
        return self._scaled(node, node.input[0])

    def target(self, quantiser: onnx.NodeProto) -> Levels | None:
        """The levels that a QuantizeLinear makes."""
        return self._scaled(quantiser, quantiser.output[0]) if self.is_uint8(quantiser.output[0]) else None

    def _scaled(self, node: onnx.NodeProto, tensor: str) -> Levels | None:
        scale = self.stored(node.input[1])
        zero = self.stored(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros((), np.uint8)
        if scale is None or zero is None or scale.size != 1 or zero.size != 1:
            return None
        return Levels(tensor, float(scale.item()), int(zero.item()))


def to_bytes(model: onnx.ModelProto) -> bytes:
    """A file's content, the same for the same model. As export/packing/onnx.py, but without torch."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python's numbers, lists and bytes."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, in the branches inside it as well."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for each in inner.node:
                yield from reads(each)
