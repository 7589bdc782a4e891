"""The fp16 form of a network: a half module between fp32 edges.

Precision then lives in the graph alone, where it can be seen and tested, and where a strongly typed TensorRT reads it.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from zoo.learn.networks import Normalised


class HalfNetwork(nn.Module):
    """Float32 [N, 3, H, W] -> float32 [N, size], everything between in fp16."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, x: Tensor) -> Tensor:
        """Cast, compute in half, cast back: the only two casts that a graph gains."""
        answer: Tensor = self.network(x.half()).float()
        return answer


def half(network: Normalised) -> Normalised:
    """The same network with the same face, computing in fp16; normalisation stays in fp32. Fold BatchNorm first."""
    return network.around(HalfNetwork(network.network))
