"""Does an engine give here the logits that its graph gave where the bundle was made?"""

from __future__ import annotations

from zoo.bundle.bundle import Bundle
from zoo.bundle.selftest import Outcome
from zoo.engines import load
from zoo.engines.engine import Engine
from zoo.engines.precision import offered
from zoo.engines.proof import outcome


def check(engine: Engine) -> Outcome:
    """Run an engine on the stored inputs, whatever is remembered of it."""
    return outcome(engine.bundle, engine.precision, engine.graph, engine)


def run(bundle: Bundle, *, backend: str = "onnxruntime") -> list[Outcome]:
    """Run every graph of the bundle, or those that this backend runs at all, on their stored inputs."""
    stored = bundle.manifest.selftest.tolerance
    some = [name for name in stored if name in offered(bundle, backend)] or list(stored)  # for none: says why
    return [check(load(bundle, backend=backend, precision=name, selftest=False)) for name in some]
