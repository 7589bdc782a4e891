"""Parity and accuracy budget: how much a graph's logits differ from the source's in fp32, and how much they may."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.bundle.manifest import Gate, Parity, Precision
from zoo.tasks.evidence import Loss
from zoo.tasks.task import Task

Floats = npt.NDArray[np.float32]

NOISE = 1e-3  # a mean over other roundings of the same logits is not the same to the last digit
# fp32 must be the same function: only the order of sums may differ. fp16 rounds, so a near tie may turn. int8 is
# another function that has to be as good, so it is held to the metric. Every graph is held to the metric as well: fp32
# may lose none of it, the others what the task says.
THRESHOLDS: dict[Precision, dict[str, float]] = {
    "fp32": {"max_abs": 1e-4, "agreement": 1.0, "max_drop": 0.0},
    "fp16": {"cosine": 0.99, "agreement": 0.995, "kl": 0.01},
    "int8": {},
    "int8s": {},
}


def gates(task: Task, changed: Mapping[str, float | None] | None = None) -> dict[Precision, Gate]:
    """The thresholds by precision. `changed` replaces some: `max_abs` is fp32's, all others are fp16's and int8's."""
    given = {name: value for name, value in (changed or {}).items() if value is not None}
    found: dict[Precision, Gate] = {}
    for precision, usual in THRESHOLDS.items():
        values: dict[str, Any] = {"max_drop": task.budget} | usual
        here = {name: value for name, value in given.items() if (name == "max_abs") == (precision == "fp32")}
        found[precision] = Gate(**(values | here))
    return found


def beyond(gate: Gate, task: Task, before: float, after: float) -> bool:
    """Whether more of the metric was lost than the gate allows, as measured. A metric that is NaN is."""
    return not task.lost(before, after) <= gate.max_drop + NOISE * task.budget


def objections(
    gate: Gate, parity: Parity, task: Task, before: float, after: float, loss: Loss | None = None
) -> list[str]:
    """What a graph fails, in words with the numbers; empty when it passes. The metric: `before` and `after` export.

    `loss`: what the images say of a loss beyond the budget, where they can be counted. One that they do not show is no
    objection.
    """
    found = []
    if gate.max_abs is not None:
        allowed = gate.max_abs * max(1.0, parity.largest)
        if not parity.max_abs <= allowed:
            found.append(f"outputs differ by up to {parity.max_abs:.3g} (at most {allowed:.3g})")
    if gate.cosine is not None and not parity.cosine >= gate.cosine:
        found.append(f"the smallest cosine of an image's outputs is {parity.cosine:.4f} (at least {gate.cosine:g})")
    if gate.agreement is not None and not parity.agreement >= gate.agreement:
        share, wanted = 100 * parity.agreement, 100 * gate.agreement
        found.append(f"{share:.2f} % of the predictions for {parity.images} images agree (at least {wanted:g} %)")
    if gate.kl is not None and parity.kl is not None and not parity.kl <= gate.kl:
        found.append(f"the KL divergence is {parity.kl:.3g} nats (at most {gate.kl:g})")
    if beyond(gate, task, before, after) and (loss is None or loss.shown):
        found.append(
            f"{task.metric} goes from {task.shown(before)} to {task.shown(after)} "
            f"(at most {gate.max_drop:g} {task.unit} worse)"
        )
    return found


def compare(logits: Floats, reference: Floats, task: Task) -> Parity:
    """`logits` against `reference`, both [N, outputs]. Numbers that are not finite fail every threshold."""
    largest = float(np.abs(reference).max())
    if logits.shape != reference.shape or not np.isfinite(logits).all():
        return Parity(
            images=len(reference),
            max_abs=np.inf,
            mean_abs=np.inf,
            cosine=-1.0,
            agreement=0.0,
            kl=np.inf,
            largest=largest,
        )
    difference = np.abs(logits - reference)
    lengths = np.linalg.norm(logits, axis=1) * np.linalg.norm(reference, axis=1)
    cosines = (logits * reference).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return Parity(
        images=len(reference),
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        cosine=float(cosines.min()),
        agreement=task.agreement(logits, reference),
        kl=task.divergence(logits, reference),
        largest=largest,
    )
