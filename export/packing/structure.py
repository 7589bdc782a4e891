"""How a graph computes, read from its nodes: the facts that the manifest states, and what is wrong with them."""

from __future__ import annotations

import onnx

from export.packing.candidates import Candidate
from export.packing.quantise.quantize import FLAVOURS
from zoo.bundle.manifest import Graph, Precision
from zoo.graphs.model import count, opset, weights
from zoo.graphs.qdq import stranded
from zoo.graphs.strong_types import problems

STORED: dict[Precision, int] = {
    "fp32": onnx.TensorProto.FLOAT,
    "fp16": onnx.TensorProto.FLOAT16,
    "int8": onnx.TensorProto.INT8,
    "int8s": onnx.TensorProto.INT8,
}
HALF_CASTS = 2  # fp16 adds one behind the normalisation and one in front of the output


def describe(candidate: Candidate, file: str) -> Graph:
    """The manifest's entry for a graph that is stored as `file`."""
    model, precision = candidate.model, candidate.precision
    stored = [tensor.data_type for tensor in weights(model).values()]
    low = sum(kind == STORED[precision] for kind in stored)
    return Graph(
        file=file,
        opset=opset(model),
        nodes=len(model.graph.node),
        casts=count(model, "Cast"),
        weighted=len(stored),
        low_precision_share=low / max(len(stored), 1),
        kept=candidate.kept,
        refused=problems(model) if precision != "int8" else [],  # int8 is for CPUs, and unsigned throughout
        calibration=candidate.calibration,
    )


def faults(candidate: Candidate, facts: Graph, fp32_casts: int) -> list[str]:
    """What is wrong with how a graph computes, whatever its logits are; empty when nothing is. `fp32_casts`: of the
    fp32 graph.
    """
    found = []
    if candidate.precision == "fp16":
        extra = facts.casts - fp32_casts
        if extra > HALF_CASTS and not facts.kept:
            found.append(f"{extra} casts beside those of input and output (at most 2): it would not run in fp16")
        wide = sum(tensor.data_type != STORED["fp16"] for tensor in weights(candidate.model).values())
        if wide > len(facts.kept):
            found.append(f"{wide} of {facts.weighted} weights are not half")
    if candidate.precision in FLAVOURS and (lost := stranded(candidate.model)):
        found.append(f"a quantiser lies in front of {', '.join(lost[:3])}")
    if candidate.precision == "int8s" and facts.refused:
        found.append(f"TensorRT would refuse it: {facts.refused[0]}")
    return found
