"""Run by `tests/export/build/test_fused.py` with TRITON_INTERPRET=1 and a type: every kernel, against float64.

Prints one line for each that is wrong, and how many it tried.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
import triton
from torch import Tensor

from export.build.fused import ops


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    values = torch.randn(shape) / max(1, shape[-1] if len(shape) == 2 else 1) ** 0.5
    return values.to(dtype)


def image(batch: int, channels: int, height: int, width: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(batch, channels, height, width).to(dtype).contiguous(memory_format=torch.channels_last)


def cases(dtype: torch.dtype) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Name and arguments: odd sizes, channels that divide no tile, both strides, one image and several."""
    for batch, stride, kernel, act in ((1, 1, 3, "relu6"), (3, 2, 3, "relu"), (1, 2, 5, "hardswish")):
        x = image(batch, 24, 5, 7, dtype)
        filters, filter_bias = drawn(kernel**2, 24, dtype=dtype), drawn(24)
        residual = x if stride == 1 else None
        outputs = 24 if stride == 1 else 40
        project = drawn(outputs, 24, dtype=dtype), drawn(outputs)
        yield "depthwise_pointwise", (x, filters, filter_bias, *project, residual, stride, act, "none")
        expand = drawn(72, 24, dtype=dtype), drawn(72)
        filters, filter_bias = drawn(kernel**2, 72, dtype=dtype), drawn(72)
        project = drawn(outputs, 72, dtype=dtype), drawn(outputs)
        yield "expand_depthwise", (x, *expand, filters, filter_bias, stride, act, "silu")
        yield (
            "inverted_residual",
            (x, *expand, filters, filter_bias, *project, residual, stride, act, act, "none"),
        )
    wide = image(1, 16, 21, 23, dtype)  # so many pixels that they take the tiles of large maps
    weight, bias = drawn(24, 16, dtype=dtype), drawn(24)
    yield "pointwise", (wide, weight, bias, None, "relu6")
    yield "depthwise_pointwise", (wide, drawn(9, 16, dtype=dtype), drawn(16), weight, bias, None, 1, "relu6", "relu6")
    x = image(3, 40, 5, 3, dtype)
    yield "pointwise", (x, drawn(40, 40, dtype=dtype), drawn(40), x, "none")
    x = image(1, 300, 2, 3, dtype)  # more channels than one round of loads takes
    yield "pointwise", (x, drawn(24, 300, dtype=dtype), drawn(24), None, "none")
    project = drawn(24, 300, dtype=dtype), drawn(24)
    yield "depthwise_pointwise", (x, drawn(9, 300, dtype=dtype), drawn(300), *project, None, 1, "relu6", "none")
    yield "pooled_pointwise", (image(3, 40, 5, 3, dtype), drawn(72, 40, dtype=dtype), drawn(72), "relu6")
    yield "pooled_pointwise", (image(2, 16, 9, 9, dtype), drawn(24, 16, dtype=dtype), drawn(24), "none")
    for batch in (1, 17):
        yield "linear", (drawn(batch, 300, dtype=dtype), drawn(10, 300, dtype=dtype), drawn(1, 10), batch == 1)
    pixels = torch.randint(0, 256, (2, 9, 11, 3), dtype=torch.uint8)
    for stride in (1, 2):
        norm = torch.tensor([[120.0, 110.0, 100.0]]), torch.tensor([[60.0, 55.0, 50.0]])
        yield "stem", (pixels, *norm, drawn(24, 27, dtype=dtype), drawn(24), stride, "relu6")


def expected(name: str, arguments: tuple[Any, ...]) -> Tensor:
    """What torch computes in float64."""
    doubles = [a.double() if isinstance(a, Tensor) and a.is_floating_point() else a for a in arguments]
    with triton.knobs.runtime.scope():
        triton.knobs.runtime.interpret = False
        output: Tensor = getattr(ops, name)._init_fn(*doubles)
    return output.double()


def off(output: Tensor, truth: Tensor) -> float:
    """The relative error, infinite for another shape."""
    return float((output.double() - truth).norm() / truth.norm()) if output.shape == truth.shape else float("inf")


def main() -> int:
    torch.manual_seed(0)
    tried = wrong = 0
    dtype, allowed = (torch.float32, 1e-5) if sys.argv[1] == "float32" else (torch.float16, 4e-3)
    for name, arguments in cases(dtype):
        output = getattr(ops, name)._init_fn(*arguments)
        error = off(output, expected(name, arguments))
        tried += 1
        if not error <= allowed:
            wrong += 1
            print(f"{name} {[list(a.shape) for a in arguments if isinstance(a, Tensor)]}: off by {error:.2g}")
    print(f"tried {tried}, wrong {wrong}")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
