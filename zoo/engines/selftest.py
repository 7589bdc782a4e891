"""Does an engine give here the logits that its graph gave where the bundle was made?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zoo.bundle.bundle import Bundle
from zoo.bundle.selftest import Outcome, compare
from zoo.engines import load
from zoo.engines.engine import Engine
from zoo.engines.precision import offered

# Of an execution that is no graph of the bundle, as a share of its largest logit: bf16 has three bits fewer than fp16,
# of which 1e-2 is allowed.
EXECUTED: dict[str, float] = {"bf16": 8e-2}


def check(engine: Engine) -> Outcome:
    """Run an engine on the stored inputs; its logits are held to those that its graph gave where it was made. One that
    executes its graph in another arithmetic may be as far from them as that arithmetic rounds.
    """
    vectors = engine.bundle.selftest()
    outcome = compare(engine.bundle, engine.graph, engine(vectors["image"]), vectors)
    if engine.precision == engine.graph:
        return outcome
    allowed = EXECUTED[engine.precision] * max(1.0, float(np.abs(vectors[engine.graph]).max()))
    return replace(outcome, precision=engine.precision, tolerance=float(f"{allowed:.3g}"))


def run(bundle: Bundle, *, backend: str = "onnxruntime") -> list[Outcome]:
    """Run every graph of the bundle, or those that this backend runs at all, on their stored inputs."""
    stored = bundle.manifest.selftest.tolerance
    some = [name for name in stored if name in offered(bundle, backend)]
    return [check(load(bundle, backend=backend, precision=name)) for name in some or stored]  # for none: says why
