"""The stored logits of a bundle, and whether others are near enough to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision


@dataclass(frozen=True)
class Outcome:
    """One graph's self-test: the largest difference of any output, and what was allowed."""

    precision: str
    difference: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Within the tolerance."""
        return self.difference <= self.tolerance


def compare(
    bundle: Bundle, graph: Precision, logits: npt.NDArray[np.float32], vectors: Mapping[str, npt.NDArray[Any]]
) -> Outcome:
    """Logits [N, size] for the images of `vectors` (`Bundle.selftest`) against those of a graph when it was made."""
    expected = vectors[graph]
    fits = logits.shape == expected.shape and np.isfinite(logits).all()
    difference = float(np.abs(logits - expected).max()) if fits else float("inf")
    return Outcome(graph, difference, bundle.manifest.selftest.tolerance[graph])
