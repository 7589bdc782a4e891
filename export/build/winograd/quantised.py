"""An int8 graph as the rewrite reads it: an index that knows which uint8 tensors stand for which real numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from zoo.graphs.index import Index


@dataclass(frozen=True)
class Quantised:
    """A uint8 tensor that stands for real numbers: the integer q for `(q - zero) * scale`."""

    tensor: str
    scale: float
    zero: int


class QuantisedGraph(Index):
    """A model with its types and shapes inferred. It is never changed."""

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__(model, infer=True)

    def is_uint8(self, name: str) -> bool:
        """Whether a tensor is known to be of that type."""
        return self.type_of(name) == onnx.TensorProto.UINT8

    def source(self, name: str) -> Quantised | None:
        """The uint8 activation that a float tensor is the dequantised form of, one scale for all of it; or None."""
        node = self.maker(name, "DequantizeLinear")
        if node is None or self.is_stored(node.input[0]) or not self.is_uint8(node.input[0]):
            return None
        return self._scaled(node, node.input[0])

    def target(self, quantiser: onnx.NodeProto) -> Quantised | None:
        """The uint8 tensor that a QuantizeLinear makes; None where it is another type or has a scale per channel."""
        return self._scaled(quantiser, quantiser.output[0]) if self.is_uint8(quantiser.output[0]) else None

    def _scaled(self, node: onnx.NodeProto, tensor: str) -> Quantised | None:
        scale = self.stored(node.input[1])
        zero = self.stored(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros((), np.uint8)
        if scale is None or zero is None or scale.size != 1 or zero.size != 1:
            return None
        return Quantised(tensor, float(scale.item()), int(zero.item()))
