"""The nodes and tensors of a graph by name: which node makes a tensor, how often it is read, whether it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]
UNKNOWN = 0  # TensorProto.UNDEFINED


class Index:
    """A model with indices, as it was when they were made: after a change to its nodes another one is needed.

    `infer`: have ONNX infer the types and shapes of all tensors. Otherwise known are those that the model states. A
    model that `zoo.graphs.structure` read will do where only nodes are asked for.
    """

    def __init__(self, model: onnx.ModelProto, *, infer: bool = False) -> None:
        self.model = model
        graph = model.graph
        self.nodes = list(graph.node)
        self.outputs = {output.name for output in graph.output}
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        self._places = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}
        self._readers = Counter(name for node in self.nodes for name in reads(node))
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                self._stored[node.output[0]] = node.attribute[0].t
        self.inputs = {info.name for info in graph.input} - self._stored.keys()  # IR 3 lists weights as inputs, too
        if infer:
            from onnx.shape_inference import infer_shapes

            graph = infer_shapes(model).graph
        self._infos = {info.name: info for info in (*graph.value_info, *graph.input, *graph.output)}

    def maker(self, name: str, *kinds: str) -> onnx.NodeProto | None:
        """The node that makes a tensor, if it is of one of these kinds; of any kind if none is given."""
        node = self._makers.get(name)
        return node if node is not None and (not kinds or node.op_type in kinds) else None

    def place(self, name: str) -> int:
        """The position, in the model's order, of the node that makes a tensor."""
        return self._places[name]

    def behind(self, name: str, *kinds: str) -> str:
        """Where the chain of nodes of these kinds that ends in `name` begins, along their first inputs; else `name`."""
        while kinds and (node := self.maker(name, *kinds)) is not None:
            name = node.input[0]
        return name

    def read_once(self, name: str) -> bool:
        """Whether exactly one node reads a tensor, once, and nobody outside the graph does."""
        return self._readers[name] == 1 and name not in self.outputs

    def is_stored(self, name: str) -> bool:
        """Whether a tensor's numbers are part of the file."""
        return name in self._stored

    def tensor(self, name: str) -> onnx.TensorProto | None:
        """A stored tensor as it is in the file."""
        return self._stored.get(name)

    def stored(self, name: str) -> Array | None:
        """The numbers of a stored tensor."""
        from onnx import numpy_helper

        tensor = self._stored.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def type_of(self, name: str) -> int:
        """A tensor's number format, one of `onnx.TensorProto`'s; `UNKNOWN` where nothing states it."""
        if name in self._stored:
            return int(self._stored[name].data_type)
        return int(self._infos[name].type.tensor_type.elem_type) if name in self._infos else UNKNOWN

    def shape(self, name: str) -> list[int | None] | None:
        """A tensor's sides: numbers, and None where a side is open; None for a tensor of unknown rank."""
        if name in self._stored:
            return list(self._stored[name].dims)
        info = self._infos.get(name)
        if info is None or not info.type.tensor_type.HasField("shape"):
            return None
        return [side.dim_value if side.HasField("dim_value") else None for side in info.type.tensor_type.shape.dim]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes as Python's numbers, lists and bytes."""
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def reads(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, in the branches inside it as well."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            for each in inner.node:
                yield from reads(each)


def drop_unread(model: onnx.ModelProto, *kinds: str) -> None:
    """Remove the nodes of these kinds whose outputs nothing reads, and those that only they had read, and so on."""
    graph = model.graph
    while True:
        read = {name for node in graph.node for name in reads(node)} | {output.name for output in graph.output}
        unread = [node for node in graph.node if node.op_type in kinds and not read & set(node.output)]
        if not unread:
            return
        for node in unread:
            graph.node.remove(node)
