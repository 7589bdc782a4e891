"""The judge step: a candidate is stored, run on the test images, and held to parity, accuracy budget and structure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from export.packing.candidates import Candidate
from export.packing.execute import logits_of_file
from export.packing.parity import Floats, beyond, compare, gates, objections
from export.packing.request import Request
from export.packing.structure import describe, faults
from zoo.bundle.manifest import Gate, Graph, Parity, Precision
from zoo.errors import InputError, VerdictError
from zoo.graphs.model import to_bytes
from zoo.tasks.evidence import Loss, Pairs

# A graph whose loss is beyond its budget has to show that: of those within it, one in 20 at most does so by chance.
ALPHA = 0.05


@dataclass(frozen=True)
class Judged:
    """A candidate's facts for the manifest, its logits on the test images [N, outputs], and what speaks against it.

    `doubt`: the loss that was measured is beyond the budget, and the test images are too few to show it.
    """

    facts: Graph
    parity: Parity
    accuracy: float  # the task's metric; nan where the logits cannot be scored
    logits: Floats
    objections: list[str]
    doubt: Loss | None = None

    @property
    def accepted(self) -> bool:
        """Whether it may be packed. A loss in doubt may stay where one image fewer would be within the budget: then the
        budget lies between two numbers of images, and no test set of this size can hold a graph to it.
        """
        return not self.objections and (self.doubt is None or self.doubt.below_one_image)


@dataclass
class Judge:
    """Compares candidates with the source. `reference`: the source's logits on the test images, float32 [N, outputs];
    `score`: their metric. The fp32 graph has to be judged first, because the casts of the others are compared with its.
    """

    request: Request
    folder: Path
    reference: Floats
    score: float
    gates: dict[Precision, Gate]
    _fp32_casts: int = field(default=0, init=False)

    @classmethod
    def open(cls, request: Request, folder: Path) -> Judge:
        """Run the source on the test images. `InputError` when its outputs are not those of the labels."""
        name, task, evidence = request.name, request.task, request.evidence
        reference = request.source.logits(evidence.test)
        if reference.shape != (len(evidence.test), task.outputs):
            shape = list(reference.shape[1:])
            raise InputError(
                f"{name} answers with {shape} numbers for each image, and the labels ask for {task.outputs}"
            )
        if not np.isfinite(reference).all():
            raise VerdictError(f"{name} answers with numbers that are not finite, before it is exported")
        task.check(reference, evidence.targets, name)
        score = task.score(reference, evidence.targets)[task.metric]
        return cls(request, folder, reference, score, gates(task, request.options.thresholds))

    def __call__(self, candidate: Candidate) -> Judged:
        """Store the candidate as model.PRECISION.onnx, in the place of one that was refused, and measure it."""
        model, precision = candidate.model, candidate.precision
        task, evidence = self.request.task, self.request.evidence
        onnx.helper.set_model_props(model, {"zoo.model": self.request.name, "zoo.precision": precision})
        path = self.folder / f"model.{precision}.onnx"
        path.write_bytes(to_bytes(model))
        logits = logits_of_file(path, precision, evidence.test)
        parity = compare(logits, self.reference, task)
        finite = parity.max_abs < np.inf
        accuracy = task.score(logits, evidence.targets)[task.metric] if finite else float("nan")
        facts = describe(candidate, path.name)
        if precision == "fp32":
            self._fp32_casts = facts.casts
        loss = self._loss(logits, precision, accuracy)
        found = objections(self.gates[precision], parity, task, self.score, accuracy, loss)
        found += faults(candidate, facts, self._fp32_casts)
        return Judged(facts, parity, accuracy, logits, found, None if loss is None or loss.shown else loss)

    def _loss(self, logits: Floats, precision: Precision, accuracy: float) -> Loss | None:
        """A loss beyond the budget, where images can be counted. fp32 is the same function: one image is too many."""
        task, targets, gate = self.request.task, self.request.evidence.targets, self.gates[precision]
        comparable = task.counted and precision != "fp32" and np.isfinite(accuracy)
        if not comparable or not beyond(gate, task, self.score, accuracy):
            return None
        pairs = Pairs.of(task.right(self.reference, targets), task.right(logits, targets))
        return Loss(pairs, gate.max_drop / 100, ALPHA)
