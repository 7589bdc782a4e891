"""What a bundle is made from: something that computes logits in fp32 and can be written as graphs."""

from __future__ import annotations

from typing import Protocol

import onnx

from export.packing.parity import Floats
from zoo.bundle.manifest import Cost
from zoo.preprocess import Pixels


class Source(Protocol):
    """A network that packing starts from. `export.packing.pipeline` asks in this order: `logits` of the test images,
    `fp32`, then `fp16` if it is to be packed, at last `cost` and `title`.
    """

    @property
    def title(self) -> str:
        """What the model card calls it: torch, or the name of a file."""
        ...

    def logits(self, images: Pixels) -> Floats:
        """What graphs are compared with: uint8 [N, H, W, 3] -> float32 [N, outputs]."""
        ...

    def fp32(self) -> onnx.ModelProto:
        """The graph in fp32, with the bundle's one signature."""
        ...

    def fp16(self, images: Pixels) -> tuple[onnx.ModelProto, dict[str, str]]:
        """The graph in fp16, and the layers that stay in fp32 because of what they reach on `images`, with why."""
        ...

    def cost(self) -> Cost:
        """Parameters and multiply-accumulates of the network as it is shipped."""
        ...
