"""A torch network as a source: its logits, and its graphs through torch's ONNX exporter."""

from __future__ import annotations

from dataclasses import dataclass, field

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

    def logits(self, images: Pixels) -> Floats:
        """The module's own logits, before anything is folded."""
        logits: Floats = evaluate(self.network, torch.from_numpy(images)).numpy()
        return logits

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
