"""Layers that call the operators: what the rewrite puts in the place of several layers of a folded network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from export.build.fused import ops

WAYS = ("whole", "filter_first", "filter_last")  # how a block is cut into kernels


class Stage(NamedTuple):
    """A convolution and the activation behind it, by the operators' name."""

    conv: nn.Conv2d
    activation: str


def bias_of(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """The bias in fp32; zeros if it has none."""
    weight = layer.weight.detach()
    return torch.zeros(len(weight), device=weight.device) if layer.bias is None else layer.bias.detach().float()


def row(numbers: Tensor) -> Tensor:
    """The same in fp32 as [1, n]. Up to eight numbers in a tensor of one dimension are no constant to torch's compiler:
    it writes them into a kernel of their own, which then runs every time.
    """
    return numbers.detach().float().reshape(1, -1)


def matrix(conv: nn.Conv2d) -> Tensor:
    """The weight of a 1x1 convolution as [outputs, inputs]."""
    return conv.weight.detach().flatten(1).contiguous()


def filters_of(conv: nn.Conv2d) -> Tensor:
    """The filters of a depthwise convolution as [taps, channels], so that neighbouring channels are read together."""
    return conv.weight.detach().flatten(1).t().contiguous()


def way_for(pixels: int, inputs: int, hidden: int, outputs: int) -> str:
    """How a block of this size is cut into kernels. `pixels`: of one output map.

    On an H100 a block of 24 inputs is faster as one kernel (7.3 µs against 10.0), one of 32 at 28 x 28 as two (8.0
    against 6.7): docs/results/fused_kernels.md.
    """
    if pixels >= 784 and inputs <= 24 and outputs <= 32:
        return "whole"
    return "filter_last" if hidden <= 1024 else "filter_first"


class Block(nn.Module):
    """[Pointwise, activation,] depthwise, activation, pointwise, activation[, + x] of one map x [N, C, H, W]."""

    expand: Tensor
    expand_bias: Tensor
    filters: Tensor
    filter_bias: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, expand: Stage | None, filtering: Stage, project: Stage, *, residual: bool) -> None:
        super().__init__()
        self.expands, self.residual = expand is not None, residual
        self.stride = int(filtering.conv.stride[0])
        self.activations = (expand.activation if expand else "none", filtering.activation, project.activation)
        if expand is not None:
            self.register_buffer("expand", matrix(expand.conv))
            self.register_buffer("expand_bias", bias_of(expand.conv))
        self.register_buffer("filters", filters_of(filtering.conv))
        self.register_buffer("filter_bias", bias_of(filtering.conv))
        self.register_buffer("weight", matrix(project.conv))
        self.register_buffer("bias", bias_of(project.conv))
        self.way: str | None = None  # one of WAYS; None: by the size of the map

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        expand_act, filter_act, act = self.activations
        other = x if self.residual else None
        filters = self.filters, self.filter_bias
        project = self.weight, self.bias
        if not self.expands:
            return ops.depthwise_pointwise(x, *filters, *project, other, self.stride, filter_act, act)
        expand = self.expand, self.expand_bias
        pixels = -(-x.shape[2] // self.stride) * -(-x.shape[3] // self.stride)
        way = self.way or way_for(pixels, self.expand.shape[1], len(self.expand), len(self.weight))
        if way == "whole":
            return ops.inverted_residual(
                x, *expand, *filters, *project, other, self.stride, expand_act, filter_act, act
            )
        if way == "filter_first":
            hidden = ops.expand_depthwise(x, *expand, *filters, self.stride, expand_act, filter_act)
            return ops.pointwise(hidden, *project, other, act)
        hidden = ops.pointwise(x, *expand, None, expand_act)
        return ops.depthwise_pointwise(hidden, *filters, *project, other, self.stride, filter_act, act)


class PooledPointwise(nn.Module):
    """Pointwise, activation, mean over all pixels."""

    weight: Tensor
    bias: Tensor

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.activation = stage.activation
        self.register_buffer("weight", matrix(stage.conv))
        self.register_buffer("bias", bias_of(stage.conv))

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs]."""
        return ops.pooled_pointwise(x, self.weight, self.bias, self.activation)


class Linear(nn.Module):
    """A dense layer, whose outputs may be `wide`: fp32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear, *, wide: bool) -> None:
        super().__init__()
        self.wide = wide
        self.register_buffer("weight", layer.weight.detach().contiguous())
        self.register_buffer("bias", row(bias_of(layer)))

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] -> [N, outputs]."""
        return ops.linear(x, self.weight, self.bias, self.wide)


class Stem(nn.Module):
    """Normalisation, the cast to the network's precision and the first convolution."""

    mean: Tensor
    deviation: Tensor
    filters: Tensor
    bias: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, stage: Stage) -> None:
        """`mean` and `deviation` of the three colours, in levels of 255."""
        super().__init__()
        self.stride, self.activation = int(stage.conv.stride[0]), stage.activation
        self.register_buffer("mean", row(mean))
        self.register_buffer("deviation", row(deviation))
        self.register_buffer("filters", stage.conv.weight.detach().permute(0, 2, 3, 1).flatten(1).contiguous())
        self.register_buffer("bias", bias_of(stage.conv))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] -> [N, outputs, H / stride, W / stride]."""
        return ops.stem(images, self.mean, self.deviation, self.filters, self.bias, self.stride, self.activation)
