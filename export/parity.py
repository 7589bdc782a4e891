"""The gate: how far a graph's answers are from the fp32 torch module's, and whether that is near enough to ship."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.engines.manifest import Parity

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Gate:
    """What a graph must hold. None leaves a measure free; `max_drop` is in points of the task's metric (0 to 100)."""

    max_abs: float | None = None
    agreement: float | None = None
    max_drop: float | None = None

    def objections(self, parity: Parity, drop: float) -> list[str]:
        """What the graph fails, in words with the numbers; empty when it passes."""
        found = []
        if self.max_abs is not None and not parity.max_abs <= self.max_abs:
            found.append(f"outputs differ by up to {parity.max_abs:.3g} (at most {self.max_abs:g})")
        if self.agreement is not None and not parity.top1_agreement >= self.agreement:
            share, wanted = 100 * parity.top1_agreement, 100 * self.agreement
            found.append(f"top-1 agrees on {share:.2f} % of {parity.images} images (at least {wanted:g} %)")
        if self.max_drop is not None and not drop <= self.max_drop:
            found.append(f"accuracy drops by {drop:.2f} points (at most {self.max_drop:g})")
        return found


# fp32 must be the same function: only the order of sums may differ. fp16 rounds, so a near tie may turn. int8 is
# another function that has to be as good, so it is held to the metric. Every graph is held to the metric as well.
GATES = {
    "fp32": Gate(max_abs=1e-4, agreement=1.0, max_drop=0.0),
    "fp16": Gate(agreement=0.995, max_drop=1.0),
    "int8": Gate(max_drop=1.0),
}


def compare(answers: Floats, reference: Floats) -> Parity:
    """`answers` against `reference`, both logits [N, size]. Anything not finite fails every measure."""
    if answers.shape != reference.shape or not np.isfinite(answers).all():
        return Parity(images=len(reference), max_abs=np.inf, mean_abs=np.inf, cosine=-1.0, top1_agreement=0.0)
    difference = np.abs(answers - reference)
    lengths = np.linalg.norm(answers, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (answers * reference).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return Parity(
        images=len(reference),
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        cosine=float(cosines.min()),
        top1_agreement=float((answers.argmax(axis=1) == reference.argmax(axis=1)).mean()),
    )
