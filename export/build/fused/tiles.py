"""The tile that each kernel is compiled with: one for each shape, chosen by reasoning and not by timing.

Written for one image on a GPU of about 130 multiprocessors, where a kernel takes a few microseconds: what counts is how
many rounds of loads follow each other, so that a tile takes as much of the inner size at once as registers hold, and
that all programs run at the same time. Timing several tiles while a package is compiled would take a minute for a
network, and would decide by what costs most when the cache is cold, which inside a network it is not. Batches larger
than one have more programs of the same tile: right for any number, best for few.

A tile is what the kernel's call is given besides sizes: BLOCK_* and Triton's num_warps and num_stages.
"""

from __future__ import annotations

Tile = dict[str, int]

# The nine taps of a pixel stay in registers: few pixels, so that they fit. Each of four warps multiplies eight of the
# 32 hidden channels.
EXPAND_DEPTHWISE: Tile = {"BLOCK_M": 16, "BLOCK_C": 32, "num_warps": 4, "num_stages": 1}
INVERTED_RESIDUAL: Tile = {"BLOCK_M": 16, "BLOCK_C": 32, "num_warps": 4, "num_stages": 1}
STEM: Tile = {"BLOCK_M": 64, "num_warps": 4, "num_stages": 1}  # a round of loads of single bytes, 16 for each thread

FEW = 400  # pixels of an output map up to which it counts as small: 14 x 14, but not 28 x 28


def power(channels: int) -> int:
    """The smallest tile that holds so many channels and that a tensor core takes."""
    return max(16, 1 << (channels - 1).bit_length())


def pointwise(pixels: int, inputs: int, outputs: int) -> Tile:
    """Sizes of one image's map. Up to 256 inputs are one round of loads."""
    inner = power(inputs)
    if pixels > FEW:
        m, n = (32, 32) if pixels <= 1600 else (64, 32)
        return _tile(m, min(n, power(outputs)), min(inner, 64), warps=4, stages=1 if inner <= 64 else 3)
    if inner <= 256:
        return _tile(16, min(32, power(outputs)), inner, warps=4, stages=1)
    return _tile(16, 32, 128, warps=4, stages=3)


def pooled_pointwise(pixels: int, inputs: int) -> Tile:
    """Maps of 7 x 7 fit one tile of pixels."""
    return _tile(min(64, power(pixels)), 16, min(128, power(inputs)), warps=4, stages=3)


def linear(inputs: int) -> Tile:
    """A row or a few; most of the time goes into reading weights."""
    return _tile(16, 16, min(256, power(inputs)), warps=4, stages=3)


def depthwise_pointwise(pixels: int, channels: int, outputs: int) -> Tile:
    """A thread holds nine loads of eight channels: 16 pixels of 256 channels are a round of 16 warps."""
    n = min(32, power(outputs))
    if pixels > FEW:
        inner = min(64, power(channels))
        return _tile(32, n, inner, warps=inner // 8, stages=1)
    inner = min(256, power(channels))
    return _tile(16, n, inner, warps=max(2, inner // 16), stages=1)


def _tile(m: int, n: int, k: int, *, warps: int, stages: int) -> Tile:
    return {"BLOCK_M": m, "BLOCK_N": n, "BLOCK_K": k, "num_warps": warps, "num_stages": stages}
