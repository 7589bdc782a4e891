"""Does a bundle still answer here as it did where it was made?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.engines import load
from zoo.engines.bundle import Bundle
from zoo.engines.engine import Engine


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


def check(engine: Engine) -> Outcome:
    """Ask an engine the stored inputs; its answers are held to those that its graph gave where it was made."""
    bundle = engine.bundle
    vectors = bundle.selftest()
    answers = engine(vectors["image"])
    difference = float(np.abs(answers - vectors[engine.graph]).max()) if np.isfinite(answers).all() else float("inf")
    return Outcome(engine.precision, difference, bundle.manifest.selftest.tolerance[engine.graph])


def run(bundle: Bundle, *, backend: str = "onnxruntime") -> list[Outcome]:
    """Run every graph of the bundle on its stored inputs."""
    return [check(load(bundle, backend=backend, precision=name)) for name in bundle.manifest.selftest.tolerance]
