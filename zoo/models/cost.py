"""What a network costs: parameters, buffers and multiply-accumulates. Counted, not timed."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """`macs`: multiply-accumulates of convolutions and matrix products for one image."""

    parameters: int
    buffers: int
    macs: int

    def as_dict(self) -> dict[str, int]:
        """The three numbers by name."""
        return asdict(self)


def parameters(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def statistics(network: nn.Module) -> int:
    """How many numbers are kept but not trained: BatchNorm's means and variances (its call counters left out)."""
    return sum(buffer.numel() for buffer in network.buffers() if buffer.is_floating_point())


def cost(network: nn.Module, height: int, width: int) -> Cost:
    """Cost of one float [1, 3, height, width] image. Runs on the meta device: no arithmetic, no memory."""
    shadow = copy.deepcopy(network).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, 3, height, width, device="meta"))
    return Cost(parameters(network), statistics(network), counter.get_total_flops() // 2)
