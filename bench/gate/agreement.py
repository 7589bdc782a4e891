"""Do both arms give the same outputs? Measured in every pair, in the very processes that are timed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np


def difference(baseline: Path, candidate: Path) -> float:
    """The largest |candidate - baseline| / |baseline| of all batches in two files of outputs (Euclidean norms).

    Infinite when the shapes differ or an output is not a finite number.
    """
    from safetensors.numpy import load_file

    before, after = load_file(baseline), load_file(candidate)
    if before.keys() != after.keys():  # each was fed by its own size: only that they are numbers can be said
        finite = all(np.isfinite(array).all() for array in after.values())
        return 0.0 if finite else math.inf
    return max(_apart(before[name], after[name]) for name in before)


def _apart(before: np.ndarray, after: np.ndarray) -> float:
    if before.shape != after.shape or not (np.isfinite(before).all() and np.isfinite(after).all()):
        return math.inf
    wide = before.astype(np.float64)
    gap, size = float(np.linalg.norm(after - wide)), float(np.linalg.norm(wide))
    if size == 0:
        return math.inf if gap else 0.0
    return gap / size
