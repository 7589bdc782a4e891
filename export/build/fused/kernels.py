"""The Triton kernels of `export.build.fused`. Maps lie in memory as [N, H, W, C]; sums are fp32; BatchNorm is folded.

At batch 1 a network of small convolutions is bound by the number of its kernels and by how long each waits for its
first loads, not by arithmetic. So each kernel here does what several layers would, shapes are compile-time constants
(pixel indices become multiplications), and loads that do not depend on each other stand together, before any is used.

Names: `rows` are output pixels over the whole batch, the one size that is not constant. BLOCK_M pixels, BLOCK_N output
channels, BLOCK_K or BLOCK_C input or hidden channels are a program's tile.
"""

from __future__ import annotations

import triton
import triton.language as tl

ACTIVATIONS = {"none": 0, "relu": 1, "relu6": 2, "hardswish": 3, "silu": 4}  # names to what `_activate` is told


@triton.jit
def _activate(x, kind: tl.constexpr):
    """One of ACTIVATIONS, in fp32."""
    if kind == 1:
        x = tl.maximum(x, 0.0)
    elif kind == 2:
        x = tl.minimum(tl.maximum(x, 0.0), 6.0)
    elif kind == 3:
        x = x * tl.minimum(tl.maximum(x + 3.0, 0.0), 6.0) * (1.0 / 6.0)
    elif kind == 4:
        x = x * tl.sigmoid(x)
    return x


@triton.jit
def _product(a, b, total):
    """`total` + a @ b; fp32 stays fp32, without TF32."""
    return tl.dot(a, b, total, input_precision="ieee")


@triton.jit
def _columns(weight, n, k, inputs: tl.constexpr, outputs: tl.constexpr):
    """The tile [k, n] of a weight that lies as [outputs, inputs]; zero outside."""
    return tl.load(
        weight + n[None, :] * inputs + k[:, None], mask=(n < outputs)[None, :] & (k < inputs)[:, None], other=0.0
    )


@triton.jit
def _addends(
    bias, residual, m, n, rows, outputs: tl.constexpr, has_residual: tl.constexpr, M: tl.constexpr, N: tl.constexpr
):
    """Bias [1, n] and residual [m, n]; asked for before the work begins, they are there when it ends."""
    add = tl.load(bias + n, mask=n < outputs, other=0.0)[None, :]
    other = tl.zeros((M, N), tl.float32)
    if has_residual:
        inside = (m < rows)[:, None] & (n < outputs)[None, :]
        other = tl.load(residual + m[:, None] * outputs + n[None, :], mask=inside, other=0.0).to(tl.float32)
    return add, other


@triton.jit
def _write(out, total, m, n, rows, outputs: tl.constexpr):
    """The tile [m, n]."""
    inside = (m < rows)[:, None] & (n < outputs)[None, :]
    tl.store(out + m[:, None] * outputs + n[None, :], total.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def pointwise_kernel(
    x,
    weight,
    bias,
    residual,
    out,
    rows,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    ACT: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """[rows, INPUTS] @ weight [OUTPUTS, INPUTS] -> [rows, OUTPUTS]."""
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    add, other = _addends(bias, residual, m, n, rows, OUTPUTS, RESIDUAL, BLOCK_M, BLOCK_N)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, INPUTS, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        a = tl.load(x + m[:, None] * INPUTS + k[None, :], mask=(m < rows)[:, None] & (k < INPUTS)[None, :], other=0.0)
        total = _product(a, _columns(weight, n, k, INPUTS, OUTPUTS), total)
    _write(out, _activate(total + add, ACT) + other, m, n, rows, OUTPUTS)


@triton.jit
def pooled_pointwise_kernel(
    x,
    weight,
    bias,
    out,
    PIXELS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    ACT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """[N, PIXELS, INPUTS] -> the mean over an image's pixels of the activated product, [N, OUTPUTS]."""
    image = tl.program_id(0)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    add = tl.load(bias + n, mask=n < OUTPUTS, other=0.0)
    mean = tl.zeros((BLOCK_N,), tl.float32)
    for first in range(0, PIXELS, BLOCK_M):
        m = first + tl.arange(0, BLOCK_M)
        total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
        for start in range(0, INPUTS, BLOCK_K):
            k = start + tl.arange(0, BLOCK_K)
            a = tl.load(
                x + (image * PIXELS + m[:, None]) * INPUTS + k[None, :],
                mask=(m < PIXELS)[:, None] & (k < INPUTS)[None, :],
                other=0.0,
            )
            total = _product(a, _columns(weight, n, k, INPUTS, OUTPUTS), total)
        total = _activate(total + add[None, :], ACT)
        mean += tl.sum(tl.where((m < PIXELS)[:, None], total, 0.0), 0)
    tl.store(out + image * OUTPUTS + n, (mean * (1.0 / PIXELS)).to(out.dtype.element_ty), mask=n < OUTPUTS)


@triton.jit(do_not_specialize=["rows"])
def depthwise_pointwise_kernel(
    x,
    filters,
    filter_bias,
    weight,
    bias,
    residual,
    out,
    rows,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    CHANNELS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    FILTER_ACT: tl.constexpr,
    ACT: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Depthwise KERNEL x KERNEL (`filters` [KERNEL * KERNEL, CHANNELS]), activation, then a pointwise product.

    A program makes the filtered values of its pixels BLOCK_K channels at a time, in registers, and multiplies at once.
    """
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    pixel = m % (OUT_HEIGHT * OUT_WIDTH)
    top = pixel // OUT_WIDTH * STRIDE - KERNEL // 2
    left = pixel % OUT_WIDTH * STRIDE - KERNEL // 2
    first = m // (OUT_HEIGHT * OUT_WIDTH) * (HEIGHT * WIDTH)
    add, other = _addends(bias, residual, m, n, rows, OUTPUTS, RESIDUAL, BLOCK_M, BLOCK_N)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, CHANNELS, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        there = k < CHANNELS
        columns = _columns(weight, n, k, CHANNELS, OUTPUTS)
        hidden = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)
        for tap in tl.static_range(KERNEL * KERNEL):
            row, column = top + tap // KERNEL, left + tap % KERNEL
            inside = (m < rows) & (row >= 0) & (row < HEIGHT) & (column >= 0) & (column < WIDTH)
            place = (first + row * WIDTH + column) * CHANNELS
            value = tl.load(x + place[:, None] + k[None, :], mask=inside[:, None] & there[None, :], other=0.0)
            taken = tl.load(filters + tap * CHANNELS + k, mask=there, other=0.0)
            hidden += value.to(tl.float32) * taken.to(tl.float32)[None, :]
        hidden = _activate(hidden + tl.load(filter_bias + k, mask=there, other=0.0)[None, :], FILTER_ACT)
        # Something that is no load has to stand here. Otherwise the compiler moves each tap, instead of their sum, to
        # where the product wants its operand: nine times through shared memory, and computed by several warps at once.
        hidden = tl.where((m < rows)[:, None], hidden, 0.0)
        total = _product(hidden.to(x.dtype.element_ty), columns, total)
    _write(out, _activate(total + add, ACT) + other, m, n, rows, OUTPUTS)


@triton.jit
def _expanded(
    taps,
    insides,
    expand,
    expand_bias,
    filters,
    filter_bias,
    i,
    c,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    KERNEL: tl.constexpr,
    EXPAND_ACT: tl.constexpr,
    FILTER_ACT: tl.constexpr,
):
    """The filtered hidden channels `c` of the pixels whose neighbourhood is `taps`, activated, fp32 [pixels, c].

    Each tap's expansion is computed anew: a tensor core does that faster than the map is written and read again. What
    the filter sees outside the image is zero, and not the expansion of zero: hence `insides`.
    """
    there = c < HIDDEN
    columns = _columns(expand, c, i, INPUTS, HIDDEN)
    add = tl.load(expand_bias + c, mask=there, other=0.0)
    hidden = tl.zeros((taps[0].shape[0], c.shape[0]), tl.float32)
    none = tl.zeros((taps[0].shape[0], c.shape[0]), tl.float32)
    for tap in tl.static_range(KERNEL * KERNEL):
        value = _activate(_product(taps[tap], columns, none) + add[None, :], EXPAND_ACT)
        taken = tl.load(filters + tap * HIDDEN + c, mask=there, other=0.0).to(tl.float32)
        hidden += tl.where(insides[tap][:, None], value, 0.0) * taken[None, :]
    hidden += tl.load(filter_bias + c, mask=there, other=0.0)[None, :]
    return _activate(hidden, FILTER_ACT)


@triton.jit
def _neighbourhood(
    x,
    m,
    i,
    rows,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    INPUTS: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
):
    """The pixels that the filter of each output pixel sees, a tile [m, i] for each tap, and which of them exist."""
    pixel = m % (OUT_HEIGHT * OUT_WIDTH)
    top = pixel // OUT_WIDTH * STRIDE - KERNEL // 2
    left = pixel % OUT_WIDTH * STRIDE - KERNEL // 2
    first = m // (OUT_HEIGHT * OUT_WIDTH) * (HEIGHT * WIDTH)
    taps = ()
    insides = ()
    for tap in tl.static_range(KERNEL * KERNEL):
        row, column = top + tap // KERNEL, left + tap % KERNEL
        inside = (m < rows) & (row >= 0) & (row < HEIGHT) & (column >= 0) & (column < WIDTH)
        place = (first + row * WIDTH + column) * INPUTS
        taps += (tl.load(x + place[:, None] + i[None, :], mask=inside[:, None] & (i < INPUTS)[None, :], other=0.0),)
        insides += (inside,)
    return taps, insides


@triton.jit(do_not_specialize=["rows"])
def expand_depthwise_kernel(
    x,
    expand,
    expand_bias,
    filters,
    filter_bias,
    out,
    rows,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    EXPAND_ACT: tl.constexpr,
    FILTER_ACT: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """Pointwise to HIDDEN channels, activation, depthwise, activation; the expanded map is never written."""
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    c = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    i = tl.arange(0, BLOCK_I)
    taps, insides = _neighbourhood(x, m, i, rows, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, INPUTS, KERNEL, STRIDE)
    hidden = _expanded(
        taps, insides, expand, expand_bias, filters, filter_bias, i, c, INPUTS, HIDDEN, KERNEL, EXPAND_ACT, FILTER_ACT
    )
    inside = (m < rows)[:, None] & (c < HIDDEN)[None, :]
    tl.store(out + m[:, None] * HIDDEN + c[None, :], hidden.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["rows"])
def inverted_residual_kernel(
    x,
    expand,
    expand_bias,
    filters,
    filter_bias,
    weight,
    bias,
    residual,
    out,
    rows,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    INPUTS: tl.constexpr,
    HIDDEN: tl.constexpr,
    OUTPUTS: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    EXPAND_ACT: tl.constexpr,
    FILTER_ACT: tl.constexpr,
    ACT: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """A whole block: expansion, filter and projection of BLOCK_M pixels, BLOCK_C hidden channels at a time."""
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.arange(0, BLOCK_N)
    i = tl.arange(0, BLOCK_I)
    taps, insides = _neighbourhood(x, m, i, rows, HEIGHT, WIDTH, OUT_HEIGHT, OUT_WIDTH, INPUTS, KERNEL, STRIDE)
    add, other = _addends(bias, residual, m, n, rows, OUTPUTS, RESIDUAL, BLOCK_M, BLOCK_N)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, HIDDEN, BLOCK_C):
        c = start + tl.arange(0, BLOCK_C)
        columns = _columns(weight, n, c, HIDDEN, OUTPUTS)
        hidden = _expanded(
            taps,
            insides,
            expand,
            expand_bias,
            filters,
            filter_bias,
            i,
            c,
            INPUTS,
            HIDDEN,
            KERNEL,
            EXPAND_ACT,
            FILTER_ACT,
        )
        total = _product(hidden.to(x.dtype.element_ty), columns, total)
    _write(out, _activate(total + add, ACT) + other, m, n, rows, OUTPUTS)


@triton.jit(do_not_specialize=["rows"])
def stem_kernel(
    images,
    mean,
    deviation,
    filters,
    bias,
    out,
    rows,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
    OUT_HEIGHT: tl.constexpr,
    OUT_WIDTH: tl.constexpr,
    OUTPUTS: tl.constexpr,
    KERNEL: tl.constexpr,
    STRIDE: tl.constexpr,
    ACT: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_M: tl.constexpr,
):
    """uint8 [N, HEIGHT, WIDTH, 3], normalised, through a KERNEL x KERNEL convolution (`filters`: OUTPUTS, taps, 3)."""
    m = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.arange(0, BLOCK_N)
    k = tl.arange(0, BLOCK_K)  # taps and colours, as one
    pixel = m % (OUT_HEIGHT * OUT_WIDTH)
    top = pixel // OUT_WIDTH * STRIDE - KERNEL // 2
    left = pixel % OUT_WIDTH * STRIDE - KERNEL // 2
    first = m // (OUT_HEIGHT * OUT_WIDTH) * (HEIGHT * WIDTH)
    row = top[:, None] + (k // (3 * KERNEL))[None, :]
    column = left[:, None] + (k // 3 % KERNEL)[None, :]
    there = k < 3 * KERNEL * KERNEL
    inside = (m < rows)[:, None] & (row >= 0) & (row < HEIGHT) & (column >= 0) & (column < WIDTH) & there[None, :]
    pixels = tl.load(images + (first[:, None] + row * WIDTH + column) * 3 + (k % 3)[None, :], mask=inside, other=0)
    centre = tl.load(mean + k % 3)[None, :]
    scale = tl.load(deviation + k % 3)[None, :]
    colours = tl.where(inside, (pixels.to(tl.float32) - centre) / scale, 0.0)
    columns = _columns(filters, n, k, 3 * KERNEL * KERNEL, OUTPUTS)
    total = _product(colours.to(out.dtype.element_ty), columns, tl.zeros((BLOCK_M, BLOCK_N), tl.float32))
    add = tl.load(bias + n, mask=n < OUTPUTS, other=0.0)[None, :]
    _write(out, _activate(total + add, ACT), m, n, rows, OUTPUTS)
