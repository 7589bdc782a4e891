"""What engines are fed with while they are timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.preprocess import Pixels

Batch = Sequence[Any] | Pixels  # what is fed in one call; its length is the batch size

# Enough images that a branch predictor or a cache cannot memorise them, few enough to stay small in memory.
DISTINCT_BATCHES = 8
DISTINCT_BYTES = 64 * 2**20


def random_batches(batch: int, height: int, width: int, *, seed: int = 0) -> list[Pixels]:
    """Different uint8 [batch, height, width, 3] arrays that look like photographs to a network.

    Large soft shapes with fine noise over them: constant or white input would let some kernels (zeros, saturated
    activations) run at a speed that no photograph gets.
    """
    draw = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 3, height).round().astype(int), np.linspace(0, 3, width).round().astype(int)

    def one() -> Pixels:
        shapes = draw.integers(0, 256, (batch, 4, 4, 3), dtype=np.int16)[:, rows][:, :, columns]
        noise = draw.integers(-24, 25, (batch, height, width, 3), dtype=np.int16)
        return (shapes + noise).clip(0, 255).astype(np.uint8)

    return [one() for _ in range(max(1, min(DISTINCT_BATCHES, DISTINCT_BYTES // (batch * height * width * 3))))]
