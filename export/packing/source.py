"""What a bundle is made from: something that answers in fp32 and can be written as graphs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import onnx
import torch

from export.packing.fold import folded_with_signature
from export.packing.half import half
from export.packing.onnx import MAX_BATCH, OPSET, refuse_training, to_onnx
from export.packing.parity import Floats
from zoo.bundle.manifest import Cost
from zoo.models.cost import cost
from zoo.models.evaluate import evaluate
from zoo.models.families.reparameterize import reparameterize
from zoo.models.normalisation import Normalised
from zoo.preprocess import Pixels


class Source(Protocol):
    """Something that answers in fp32 and can be written as graphs."""

    @property
    def title(self) -> str:
        """What the model card calls it: torch, or the name of a file."""
        ...

    def answer(self, images: Pixels) -> Floats:
        """What graphs are held to: uint8 [N, H, W, 3] -> float32 [N, outputs]."""
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


@dataclass
class TorchSource:
    """A torch network in eval mode that takes uint8 [N, H, W, 3]."""

    network: Normalised
    name: str
    height: int
    width: int
    output: str
    opset: int | None = None
    max_batch: int = MAX_BATCH
    title: str = "torch fp32"
    _folded: Normalised = field(init=False)

    def __post_init__(self) -> None:
        refuse_training(self.network, self.name)
        self._folded = folded_with_signature(self.network)

    def answer(self, images: Pixels) -> Floats:
        """The module's own answers, before anything is folded."""
        answers: Floats = evaluate(self.network, torch.from_numpy(images)).numpy()
        return answers

    def fp32(self) -> onnx.ModelProto:
        """Folded, and exported."""
        return self._exported(self._folded)

    def fp16(self, images: Pixels) -> tuple[onnx.ModelProto, dict[str, str]]:
        """The half module, exported."""
        form = half(self._folded, images)
        return self._exported(form.network), form.kept

    def cost(self) -> Cost:
        """Counted on the network with its branches folded."""
        return Cost(**cost(reparameterize(self.network.network), self.height, self.width).as_dict())

    def _exported(self, network: Normalised) -> onnx.ModelProto:
        return to_onnx(
            network,
            self.height,
            self.width,
            name=self.name,
            output=self.output,
            version=OPSET if self.opset is None else self.opset,
            max_batch=self.max_batch,
        )
