"""The operators `distilzoo::...`: several layers of a folded network in one Triton kernel each.

Maps are [N, C, H, W] in channels_last memory (any other order is copied first), N may vary. Weights of 1x1 convolutions
are [outputs, inputs], depthwise filters [taps, channels], biases fp32. Everything else is in the type of the map: fp16,
bf16 or fp32; sums are fp32. `activation`s are names of `kernels.ACTIVATIONS`. Torch's compilers see through to the
kernels, so that an AOTInductor package holds them and needs no Triton. On a CPU the same function computes by torch's
own arithmetic (`plain`): each operator's signature stands in one place. Number of images and pixels may be anything
whose map has less than 2**31 numbers: offsets are 32 bits.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from torch import Tensor
from torch.library import triton_op, wrap_triton
from torch.nn import functional as F

from export.build.fused import kernels, plain, tiles
from export.build.fused.kernels import ACTIVATIONS


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _memory(x: Tensor, height: int, width: int, channels: int, dtype: torch.dtype) -> Tensor:
    """A map to be written, [N, H, W, C] as it lies in memory. Asked for [N, C, H, W] in channels_last, torch's compiler
    makes it in the usual order first and copies it to the other by a kernel of its own.
    """
    return torch.empty((x.shape[0], height, width, channels), dtype=dtype, device=x.device)


def _seen(memory: Tensor) -> Tensor:
    """The same as [N, C, H, W]."""
    return memory.permute(0, 3, 1, 2)


def _by_torch(x: Tensor) -> bool:
    """Whether torch's own arithmetic computes: on a CPU, except where Triton's interpreter runs the kernels there."""
    return x.is_cpu and not triton.knobs.runtime.interpret


def _side(taps: int) -> int:
    return {9: 3, 25: 5, 49: 7}[taps]


def _after(size: int, stride: int) -> int:
    """Pixels behind a filter of odd size, with the padding that keeps the size."""
    return (size - 1) // stride + 1


def _count(size: Any, tile: int) -> Any:
    """How many tiles cover a size, which may be symbolic."""
    return (size + tile - 1) // tile


@triton_op("distilzoo::pointwise", mutates_args=())
def pointwise(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, activation: str) -> Tensor:
    """1x1 convolution, activation, then `residual` is added: [N, inputs, H, W] -> [N, outputs, H, W]."""
    if _by_torch(x):
        return plain.rounded(plain.pointwise(x, weight, bias, activation), x, residual)
    x = _last(x)
    other = x if residual is None else _last(residual)
    height, width, (outputs, inputs) = x.shape[2], x.shape[3], weight.shape
    out, rows = _memory(x, height, width, outputs, x.dtype), x.shape[0] * height * width
    sizes = {"INPUTS": inputs, "OUTPUTS": outputs, "ACT": ACTIVATIONS[activation], "RESIDUAL": residual is not None}

    tile = tiles.pointwise(height * width, inputs, outputs)
    grid = _count(rows, tile["BLOCK_M"]), _count(outputs, tile["BLOCK_N"])
    wrap_triton(kernels.pointwise_kernel)[grid](x, weight, bias, other, out, rows, **sizes, **tile)
    return _seen(out)


@triton_op("distilzoo::pooled_pointwise", mutates_args=())
def pooled_pointwise(x: Tensor, weight: Tensor, bias: Tensor, activation: str) -> Tensor:
    """1x1 convolution, activation, mean over all pixels: [N, inputs, H, W] -> [N, outputs]."""
    if _by_torch(x):
        return plain.pointwise(x, weight, bias, activation).mean((2, 3)).to(x.dtype)
    x = _last(x)
    outputs, inputs = weight.shape
    out = torch.empty((x.shape[0], outputs), dtype=x.dtype, device=x.device)
    pixels = x.shape[2] * x.shape[3]
    sizes = {"PIXELS": pixels, "INPUTS": inputs, "OUTPUTS": outputs, "ACT": ACTIVATIONS[activation]}
    tile = tiles.pooled_pointwise(pixels, inputs)
    grid = x.shape[0], _count(outputs, tile["BLOCK_N"])
    wrap_triton(kernels.pooled_pointwise_kernel)[grid](x, weight, bias, out, **sizes, **tile)
    return out


@triton_op("distilzoo::linear", mutates_args=())
def linear(x: Tensor, weight: Tensor, bias: Tensor, wide: bool) -> Tensor:
    """Dense layer: [N, inputs] -> [N, outputs], `wide` in fp32. `bias`: so many numbers in any shape."""
    if _by_torch(x):
        product = F.linear(plain.wide(x), plain.wide(weight), plain.wide(bias).flatten())
        return product if wide else product.to(x.dtype)
    x = x.contiguous()
    rows, (outputs, inputs) = x.shape[0], weight.shape
    out = torch.empty((rows, outputs), dtype=torch.float32 if wide else x.dtype, device=x.device)
    sizes = {"INPUTS": inputs, "OUTPUTS": outputs, "ACT": ACTIVATIONS["none"], "RESIDUAL": False}
    tile = tiles.linear(inputs)
    grid = _count(rows, tile["BLOCK_M"]), _count(outputs, tile["BLOCK_N"])
    wrap_triton(kernels.pointwise_kernel)[grid](x, weight, bias, x, out, rows, **sizes, **tile)
    return out


@triton_op("distilzoo::depthwise_pointwise", mutates_args=())
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
    """Depthwise, activation, 1x1, activation, `residual` added: [N, channels, H, W] -> [N, outputs, H', W']."""
    if _by_torch(x):
        inner = plain.depthwise(x, filters, filter_bias, stride, filter_activation).to(x.dtype)
        return pointwise(inner, weight, bias, residual, activation)
    x = _last(x)
    height, width, (outputs, channels) = x.shape[2], x.shape[3], weight.shape
    out_height, out_width = _after(height, stride), _after(width, stride)
    out, rows = _memory(x, out_height, out_width, outputs, x.dtype), x.shape[0] * out_height * out_width
    other = x if residual is None else _last(residual)
    sizes = {
        "HEIGHT": height,
        "WIDTH": width,
        "OUT_HEIGHT": out_height,
        "OUT_WIDTH": out_width,
        "CHANNELS": channels,
        "OUTPUTS": outputs,
        "KERNEL": _side(filters.shape[0]),
        "STRIDE": stride,
        "FILTER_ACT": ACTIVATIONS[filter_activation],
        "ACT": ACTIVATIONS[activation],
        "RESIDUAL": residual is not None,
    }
    tile = tiles.depthwise_pointwise(out_height * out_width, channels, outputs)
    grid = _count(rows, tile["BLOCK_M"]), _count(outputs, tile["BLOCK_N"])
    wrap_triton(kernels.depthwise_pointwise_kernel)[grid](
        x, filters, filter_bias, weight, bias, other, out, rows, **sizes, **tile
    )
    return _seen(out)


@triton_op("distilzoo::expand_depthwise", mutates_args=())
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
    """1x1, activation, depthwise, activation: [N, inputs, H, W] -> [N, hidden, H', W']."""
    if _by_torch(x):
        inner = plain.pointwise(x, expand, expand_bias, expand_activation)
        return plain.rounded(plain.depthwise(inner, filters, filter_bias, stride, filter_activation), x)
    x = _last(x)
    height, width, (hidden, inputs) = x.shape[2], x.shape[3], expand.shape
    out_height, out_width = _after(height, stride), _after(width, stride)
    out, rows = _memory(x, out_height, out_width, hidden, x.dtype), x.shape[0] * out_height * out_width
    sizes = {
        "HEIGHT": height,
        "WIDTH": width,
        "OUT_HEIGHT": out_height,
        "OUT_WIDTH": out_width,
        "INPUTS": inputs,
        "HIDDEN": hidden,
        "KERNEL": _side(filters.shape[0]),
        "STRIDE": stride,
        "EXPAND_ACT": ACTIVATIONS[expand_activation],
        "FILTER_ACT": ACTIVATIONS[filter_activation],
        "BLOCK_I": tiles.power(inputs),
    }
    tile = tiles.EXPAND_DEPTHWISE
    grid = _count(rows, tile["BLOCK_M"]), _count(hidden, tile["BLOCK_C"])
    wrap_triton(kernels.expand_depthwise_kernel)[grid](
        x, expand, expand_bias, filters, filter_bias, out, rows, **sizes, **tile
    )
    return _seen(out)


@triton_op("distilzoo::inverted_residual", mutates_args=())
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
    """A whole block, expansion and filter and projection: [N, inputs, H, W] -> [N, outputs, H', W']."""
    if _by_torch(x):
        inner = expand_depthwise(
            x, expand, expand_bias, filters, filter_bias, stride, expand_activation, filter_activation
        )
        return pointwise(inner, weight, bias, residual, activation)
    x = _last(x)
    height, width, (hidden, inputs), outputs = x.shape[2], x.shape[3], expand.shape, weight.shape[0]
    out_height, out_width = _after(height, stride), _after(width, stride)
    out, rows = _memory(x, out_height, out_width, outputs, x.dtype), x.shape[0] * out_height * out_width
    other = x if residual is None else _last(residual)
    sizes = {
        "HEIGHT": height,
        "WIDTH": width,
        "OUT_HEIGHT": out_height,
        "OUT_WIDTH": out_width,
        "INPUTS": inputs,
        "HIDDEN": hidden,
        "OUTPUTS": outputs,
        "KERNEL": _side(filters.shape[0]),
        "STRIDE": stride,
        "EXPAND_ACT": ACTIVATIONS[expand_activation],
        "FILTER_ACT": ACTIVATIONS[filter_activation],
        "ACT": ACTIVATIONS[activation],
        "RESIDUAL": residual is not None,
        "BLOCK_I": tiles.power(inputs),
        "BLOCK_N": tiles.power(outputs),
    }
    tile = tiles.INVERTED_RESIDUAL
    grid = (_count(rows, tile["BLOCK_M"]),)
    wrap_triton(kernels.inverted_residual_kernel)[grid](
        x, expand, expand_bias, filters, filter_bias, weight, bias, other, out, rows, **sizes, **tile
    )
    return _seen(out)


@triton_op("distilzoo::stem", mutates_args=())
def stem(
    images: Tensor, mean: Tensor, deviation: Tensor, filters: Tensor, bias: Tensor, stride: int, activation: str
) -> Tensor:
    """Pixels through the first convolution: uint8 [N, H, W, 3] -> [N, outputs, H', W'] in the type of `filters`.

    `mean` and `deviation`, [3] or [1, 3], are in levels of 255; `filters` are [outputs, taps * 3], colours innermost.
    """
    if _by_torch(images):
        return plain.rounded(plain.stem(images, mean, deviation, filters, bias, stride, activation), filters)
    images = images.contiguous()
    height, width, (outputs, values) = images.shape[1], images.shape[2], filters.shape
    out_height, out_width = _after(height, stride), _after(width, stride)
    out = _memory(images, out_height, out_width, outputs, filters.dtype)
    rows = images.shape[0] * out_height * out_width
    sizes = {
        "HEIGHT": height,
        "WIDTH": width,
        "OUT_HEIGHT": out_height,
        "OUT_WIDTH": out_width,
        "OUTPUTS": outputs,
        "KERNEL": _side(values // 3),
        "STRIDE": stride,
        "ACT": ACTIVATIONS[activation],
        "BLOCK_N": tiles.power(outputs),
        "BLOCK_K": tiles.power(values),
    }
    tile = tiles.STEM
    grid = (_count(rows, tile["BLOCK_M"]),)
    wrap_triton(kernels.stem_kernel)[grid](images, mean, deviation, filters, bias, out, rows, **sizes, **tile)
    return _seen(out)
