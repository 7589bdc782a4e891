"""What the operators of `export.build.fused` compute, in torch's own arithmetic: their CPU code and their meaning.

As on a GPU, sums and activations are fp32 and results are rounded to the input's type; maps are [N, C, H, W] in
channels_last memory. Shapes of the arguments are those of `export.build.fused.ops`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from export.build.fused.kernels import ACTIVATIONS

_COMPUTE = {"none": lambda x: x, "relu": F.relu, "relu6": F.relu6, "hardswish": F.hardswish, "silu": F.silu}
if _COMPUTE.keys() != ACTIVATIONS.keys():
    raise ImportError("the kernels' activations and their plain forms differ")


def _wide(x: Tensor) -> Tensor:
    """Fp32, but fp64 stays: it is what results are compared with."""
    return x if x.dtype == torch.float64 else x.float()


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(_wide(x), _wide(weight)[:, :, None, None], _wide(bias))


def _depthwise(x: Tensor, filters: Tensor, bias: Tensor, stride: int) -> Tensor:
    taps, channels = filters.shape
    side = round(taps**0.5)
    kernel = _wide(filters).t().reshape(channels, 1, side, side)
    return F.conv2d(_wide(x), kernel, _wide(bias), stride, side // 2, groups=channels)


def _narrow(x: Tensor, like: Tensor, residual: Tensor | None = None) -> Tensor:
    total = x if residual is None else x + _wide(residual)
    return total.to(like.dtype).contiguous(memory_format=torch.channels_last)


def pointwise(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, activation: str) -> Tensor:
    """1x1 convolution, activation, residual."""
    return _narrow(_COMPUTE[activation](_pointwise(x, weight, bias)), x, residual)


def pooled_pointwise(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    """1x1 convolution, activation, mean over all pixels."""
    return _COMPUTE[activation](_pointwise(x, weight, bias)).mean((2, 3)).to(x.dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor, wide: bool) -> Tensor:
    """Dense layer."""
    answers = F.linear(_wide(x), _wide(weight), _wide(bias).flatten())
    return answers if wide else answers.to(x.dtype)


def depthwise_pointwise(
    x: Tensor,
    filters: Tensor,
    filter_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    stride: int,
    filter_activation: str,
    activation: str,
) -> Tensor:
    """Depthwise convolution, activation, 1x1 convolution, activation, residual."""
    hidden = _COMPUTE[filter_activation](_depthwise(x, filters, filter_bias, stride)).to(x.dtype)
    return pointwise(hidden, weight, bias, residual, activation)


def expand_depthwise(
    x: Tensor,
    expand: Tensor,
    expand_bias: Tensor,
    filters: Tensor,
    filter_bias: Tensor,
    stride: int,
    expand_activation: str,
    filter_activation: str,
) -> Tensor:
    """1x1 convolution, activation, depthwise convolution, activation."""
    hidden = _COMPUTE[expand_activation](_pointwise(x, expand, expand_bias))
    return _narrow(_COMPUTE[filter_activation](_depthwise(hidden, filters, filter_bias, stride)), x)


def inverted_residual(
    x: Tensor,
    expand: Tensor,
    expand_bias: Tensor,
    filters: Tensor,
    filter_bias: Tensor,
    weight: Tensor,
    bias: Tensor,
    residual: Tensor | None,
    stride: int,
    expand_activation: str,
    filter_activation: str,
    activation: str,
) -> Tensor:
    """The two above as one."""
    hidden = expand_depthwise(
        x, expand, expand_bias, filters, filter_bias, stride, expand_activation, filter_activation
    )
    return pointwise(hidden, weight, bias, residual, activation)


def stem(
    images: Tensor, mean: Tensor, deviation: Tensor, filters: Tensor, bias: Tensor, stride: int, activation: str
) -> Tensor:
    """Pixels, normalised and in the filters' type, through a convolution."""
    outputs, values = filters.shape
    side = round((values / 3) ** 0.5)
    kernel = _wide(filters).reshape(outputs, side, side, 3).permute(0, 3, 1, 2)
    pixels = ((_wide(images) - _wide(mean)) / _wide(deviation)).to(filters.dtype).permute(0, 3, 1, 2)
    answers = F.conv2d(_wide(pixels), kernel, _wide(bias), stride, side // 2)
    return _narrow(_COMPUTE[activation](answers), filters)
