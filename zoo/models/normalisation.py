"""The normalisation that a network expects, built in front of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo.models.outputs import Outputs, outputs_of


class Normalised(nn.Module):
    """uint8 [N, H, W, 3] RGB -> logits [N, outputs]: scaling, normalisation and layout, then the network.

    Callers pass pixels and cannot get the normalisation wrong, in training as in the exported graph. `mean` and `std`
    are those of channels scaled to 0..1. Both are outside the state dict, so that weights load into the bare network;
    `zoo.models.fingerprint` covers them.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self._channels = tuple(mean), tuple(std)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def around(self, network: nn.Module) -> Normalised:
        """The same normalisation in front of another network, in the same mode."""
        return Normalised(network, *self._channels).train(self.training)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (or float, 0 to 255) [N, H, W, 3] -> logits [N, outputs]: the main ones, of a network with several."""
        return self.outputs(images).main

    def outputs(self, images: Tensor) -> Outputs:
        """The same, with the logits of auxiliary heads if the network returns any, as it may in train mode."""
        return outputs_of(self.network(self.normalise(images)))

    def normalise(self, images: Tensor) -> Tensor:
        """What the network itself takes: float [N, 3, H, W], in channels_last order in memory."""
        # The cast comes first: TensorRT can do nothing else to uint8.
        return (images.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std
