"""What the kernels compute, in torch's own arithmetic: what the operators of `export.build.fused.ops` do on a CPU, and
what they mean.

As on a GPU, sums and activations are fp32 and results are rounded to the input's type; maps are [N, C, H, W] in
channels_last memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from export.build.fused.kernels import ACTIVATIONS

_COMPUTE = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6, "hardswish": F.hardswish, "silu": F.silu}
if _COMPUTE.keys() != ACTIVATIONS.keys():
    raise ImportError("the kernels' activations and their plain forms differ")


def wide(x: Tensor) -> Tensor:
    """Fp32, but fp64 stays: it is what results are compared with."""
    return x if x.dtype == torch.float64 else x.float()


def pointwise(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    """1x1 convolution and activation, not rounded: [N, inputs, H, W] -> [N, outputs, H, W]."""
    return _COMPUTE[activation](F.conv2d(wide(x), wide(weight)[:, :, None, None], wide(bias)))


def depthwise(x: Tensor, filters: Tensor, bias: Tensor, stride: int, activation: str) -> Tensor:
    """Depthwise convolution and activation, not rounded: [N, channels, H, W] -> [N, channels, H', W']."""
    taps, channels = filters.shape
    side = round(taps**0.5)
    kernel = wide(filters).t().reshape(channels, 1, side, side)
    return _COMPUTE[activation](F.conv2d(wide(x), kernel, wide(bias), stride, side // 2, groups=channels))


def stem(
    images: Tensor, mean: Tensor, deviation: Tensor, filters: Tensor, bias: Tensor, stride: int, activation: str
) -> Tensor:
    """Pixels, normalised and in the filters' type, through a convolution, not rounded."""
    outputs, values = filters.shape
    side = round((values / 3) ** 0.5)
    kernel = wide(filters).reshape(outputs, side, side, 3).permute(0, 3, 1, 2)
    pixels = ((wide(images) - wide(mean)) / wide(deviation)).to(filters.dtype).permute(0, 3, 1, 2)
    return _COMPUTE[activation](F.conv2d(wide(pixels), kernel, wide(bias), stride, side // 2))


def rounded(x: Tensor, like: Tensor, residual: Tensor | None = None) -> Tensor:
    """`residual` added, in the type of `like`."""
    total = x if residual is None else x + wide(residual)
    return total.to(like.dtype).contiguous(memory_format=torch.channels_last)
