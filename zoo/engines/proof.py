"""Whether a backend gives here the logits that its graph gave where the bundle was made, asked once and remembered.

A library may compute a graph wrongly and say nothing. Packing has run every graph on ONNX Runtime on a CPU; any other
backend has to pass the bundle's self-test on this machine before an app gets its first logits.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from pydantic import Field

from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision
from zoo.bundle.selftest import Outcome, compare
from zoo.bundle.tuned import identity, machine
from zoo.engines.backend import Backend, Logits, Pixels
from zoo.errors import VerdictError, first_line
from zoo.machine_store import MachineStore
from zoo.schemas import Strict

PROVEN_ON = "onnxruntime", "cpu"  # backend and device that packing ran every graph on
# Of an execution that is no graph of the bundle, as a share of its largest logit: bf16 has three bits fewer than fp16,
# of which 1e-2 is allowed.
EXECUTED: dict[str, float] = {"bf16": 8e-2}
SCHEMA: Final = "zoo.proof/1"
log = logging.getLogger(__name__)


class Proof(Strict):
    """One entry of the cache: an engine passed the self-test."""

    schema_: Literal["zoo.proof/1"] = Field(SCHEMA, alias="schema")
    bundle: str
    engine: dict[str, str] = Field(description="what ran: backend, precision, device, versions of its library")
    machine: str = Field(description="processor and cores")
    difference: float
    tolerance: float


STORE = MachineStore("proven", Proof, SCHEMA, log)


def outcome(bundle: Bundle, precision: str, graph: Precision, run: Callable[[Pixels], Logits]) -> Outcome:
    """Run the stored inputs; the logits are held to those that the graph gave where it was made. An engine that
    executes its graph in another arithmetic may be as far from them as that arithmetic rounds.
    """
    vectors = bundle.selftest()
    found = compare(bundle, graph, run(vectors["image"]), vectors)
    if precision == graph:
        return found
    allowed = EXECUTED[precision] * max(1.0, float(np.abs(vectors[graph]).max()))
    return replace(found, precision=precision, tolerance=float(f"{allowed:.3g}"))


def prove(bundle: Bundle, precision: str, graph: Precision, backend: Backend) -> None:
    """`VerdictError` when the logits are off here. Nothing runs where the engine passed with this version of its
    library on this machine before, or where packing has run it.
    """
    if (backend.name, backend.device) == PROVEN_ON:
        return
    facts = _facts(precision, backend)
    here = machine()

    def key() -> str:
        return hashlib.sha256(json.dumps([identity(bundle), here, facts]).encode()).hexdigest()

    if STORE.find(key, "the self-test is run again", objection=lambda _: "") is not None:
        return
    found = outcome(bundle, precision, graph, backend.run)
    if not found.passed:
        raise VerdictError(
            f"{backend.name} computes the {precision} graph of {bundle.path} wrongly on this machine: its logits for "
            f"the self-test are off by {found.difference:.3g}, {found.tolerance:g} is allowed; use another backend"
        )
    proof = Proof(
        schema=SCHEMA,
        bundle=bundle.manifest.name,
        engine=facts,
        machine=here,
        difference=found.difference,
        tolerance=found.tolerance,
    )
    try:
        STORE.keep(key(), proof)
    except (OSError, RuntimeError) as error:  # a cache that cannot be written, or a user without a home
        log.warning(
            "the self-test of %s cannot be remembered and runs at every start: %s", bundle.path, first_line(error)
        )


def _facts(precision: str, backend: Backend) -> dict[str, str]:
    """What decides what is computed."""
    versions = {name: str(value) for name, value in sorted(backend.versions().items())}
    return {"backend": backend.name, "precision": precision, "device": backend.device, **versions}
