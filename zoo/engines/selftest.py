"""Does a bundle still answer here as it did where it was made?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.engines import load
from zoo.engines.bundle import Bundle


@dataclass(frozen=True)
class Outcome:
    """One graph's self-test: the largest difference of any output, and what was allowed."""

    precision: str
    difference: float
    tolerance: float
    same_top1: bool

    @property
    def passed(self) -> bool:
        """Within the tolerance, and no image changed its class."""
        return self.difference <= self.tolerance and self.same_top1


def run(bundle: Bundle, *, backend: str = "onnxruntime") -> list[Outcome]:
    """Run every graph of the bundle on its stored inputs. A near tie may turn: it does not count as another class."""
    vectors = bundle.selftest()
    outcomes = []
    for precision, tolerance in bundle.manifest.selftest.tolerance.items():
        expected = vectors[precision]
        answers = load(bundle, backend=backend, precision=precision)(vectors["image"])
        difference = float(np.abs(answers - expected).max()) if np.isfinite(answers).all() else float("inf")
        rows = np.arange(len(expected))
        lost = expected[rows, expected.argmax(1)] - expected[rows, answers.argmax(1)]
        outcomes.append(Outcome(precision, difference, tolerance, bool((lost <= 2 * tolerance).all())))
    return outcomes
