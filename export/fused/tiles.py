"""Which tiles each kernel is tried with when it is compiled; the fastest on the machine at hand is kept.

Two lists where it matters: maps of few pixels need small tiles, or most of a GPU idles; maps of many pixels need large
ones, or weights are read too often.
"""

from __future__ import annotations

from typing import Any

import triton

from export.fused import kernels

FEW = 400  # pixels of an output map, up to which it counts as small: 14 x 14, and 28 x 28 no more


def _tiles(names: str, *rows: tuple[int, ...]) -> list[triton.Config]:
    """Rows of tile sizes in the order of `names`, then warps, then pipeline stages."""
    words = names.split()
    return [
        triton.Config(dict(zip(words, row[:-2], strict=True)), num_warps=row[-2], num_stages=row[-1]) for row in rows
    ]


def _tuned(kernel: Any, key: str, configs: list[triton.Config]) -> Any:
    return triton.autotune(configs=configs, key=key.split())(kernel)


_GEMM = "rows INPUTS OUTPUTS ACT RESIDUAL"
pointwise_few = _tuned(
    kernels.pointwise_kernel,
    _GEMM,
    _tiles(
        "BLOCK_M BLOCK_N BLOCK_K",
        (16, 16, 128, 2, 4),
        (16, 32, 64, 2, 5),
        (16, 32, 128, 4, 4),
        (16, 64, 64, 4, 4),
        (32, 32, 64, 4, 4),
        (64, 32, 64, 4, 4),
    ),
)
pointwise_many = _tuned(
    kernels.pointwise_kernel,
    _GEMM,
    _tiles(
        "BLOCK_M BLOCK_N BLOCK_K",
        (32, 64, 32, 4, 3),
        (64, 32, 32, 4, 3),
        (64, 64, 32, 4, 3),
        (128, 32, 32, 4, 2),
        (128, 64, 32, 4, 2),
    ),
)
linear_any = _tuned(
    kernels.pointwise_kernel,
    _GEMM,
    _tiles(
        "BLOCK_M BLOCK_N BLOCK_K",
        (16, 16, 128, 2, 4),
        (16, 16, 256, 4, 3),
        (16, 32, 128, 4, 4),
        (16, 16, 512, 8, 3),
    ),
)
pooled_pointwise_any = _tuned(
    kernels.pooled_pointwise_kernel,
    "PIXELS INPUTS OUTPUTS ACT",
    _tiles(
        "BLOCK_M BLOCK_N BLOCK_K",
        (64, 16, 64, 4, 5),
        (64, 16, 128, 4, 3),
        (64, 32, 64, 4, 4),
    ),
)

_BLOCK = "rows HEIGHT WIDTH STRIDE KERNEL OUTPUTS RESIDUAL"
depthwise_pointwise_few = _tuned(
    kernels.depthwise_pointwise_kernel,
    f"{_BLOCK} CHANNELS",
    _tiles(
        "BLOCK_M BLOCK_N BLOCK_K",
        (16, 16, 64, 4, 1),
        (16, 16, 64, 4, 3),
        (16, 16, 128, 8, 1),
        (16, 32, 128, 8, 1),
        (16, 32, 128, 8, 3),
        (16, 16, 256, 16, 1),
    ),
)
depthwise_pointwise_many = _tuned(
    kernels.depthwise_pointwise_kernel,
    f"{_BLOCK} CHANNELS",
    _tiles(
        "BLOCK_M BLOCK_N BLOCK_K",
        (16, 32, 32, 2, 1),
        (16, 32, 64, 4, 1),
        (32, 32, 32, 4, 1),
        (32, 32, 64, 8, 1),
        (64, 32, 32, 8, 1),
    ),
)
expand_depthwise_any = _tuned(
    kernels.expand_depthwise_kernel,
    "rows HEIGHT WIDTH STRIDE KERNEL INPUTS HIDDEN",
    _tiles(
        "BLOCK_M BLOCK_C",
        (16, 16, 1, 1),
        (16, 32, 2, 1),
        (16, 32, 4, 1),
        (32, 32, 4, 1),
        (16, 64, 4, 1),
    ),
)
inverted_residual_any = _tuned(
    kernels.inverted_residual_kernel,
    f"{_BLOCK} INPUTS HIDDEN",
    _tiles(
        "BLOCK_M BLOCK_C",
        (16, 32, 2, 1),
        (16, 32, 4, 1),
        (32, 16, 2, 1),
        (32, 32, 4, 1),
        (64, 32, 8, 1),
    ),
)
stem_any = _tuned(
    kernels.stem_kernel,
    "rows HEIGHT WIDTH OUTPUTS KERNEL STRIDE ACT",
    _tiles("BLOCK_M", (32, 2, 1), (32, 4, 1), (64, 4, 1), (128, 8, 1)),
)
