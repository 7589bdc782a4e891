"""The quantise step: the graphs that could be packed at one precision, the preferred one first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx

from export.packing.execute import logits_of
from export.packing.quantise.quantize import FLAVOURS
from export.packing.quantise.sensitive import attempts
from export.packing.request import Request
from zoo.bundle.manifest import Calibration, Precision


@dataclass(frozen=True)
class Candidate:
    """A graph that is not judged yet. `kept`: the layers that stay in fp32, by name, each with the reason."""

    model: onnx.ModelProto
    precision: Precision
    kept: dict[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None


def candidates(request: Request, fp32: onnx.ModelProto, precision: Precision) -> Iterator[Candidate]:
    """One graph in fp16, which the source makes itself; or int8 graphs made from `fp32`, with more and more layers kept
    in fp32. A candidate is computed only when it is asked for.
    """
    evidence = request.evidence
    if precision not in FLAVOURS:
        model, kept = request.source.fp16(evidence.calibration)
        yield Candidate(model, precision, kept)
        return
    for attempt in attempts(
        fp32,
        FLAVOURS[precision],
        evidence.calibration,
        choice=request.options.method,
        logits_of=logits_of,
        task=request.task,
        targets=evidence.calibration_targets,
    ):
        calibration = Calibration(images=len(evidence.calibration), method=attempt.method, tried=attempt.tried)
        yield Candidate(attempt.model, precision, attempt.kept, calibration)
