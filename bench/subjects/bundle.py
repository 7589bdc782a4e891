"""A bundle as a subject: loaded as an app loads it, by `zoo.load`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.cases import Case
from bench.results import EngineFacts
from bench.subjects.subject import Subject, preprocess_many
from zoo.engines import Engine, load, selftest
from zoo.engines.backend import Profiled, Timed
from zoo.errors import VerdictError


def open_bundle(case: Case) -> Subject:
    """The engine that the case names. Raises the errors of `zoo.load`."""
    engine = load(
        case.subject,
        backend=case.backend,
        precision=case.precision,
        device=case.device,
        threads=case.threads,
        cuda_graph=case.variant == "cuda-graph",
    )

    def check() -> None:
        if not (outcome := selftest.check(engine)).passed:
            raise VerdictError(
                f"its logits for the self-test are off by {outcome.difference:.3g}, {outcome.tolerance:g} is allowed"
            )

    manifest = engine.bundle.manifest
    preprocessing = manifest.input.preprocessing
    return Subject(
        logits=engine,
        predict=lambda pictures: _predict(engine, pictures),
        decide=lambda pictures: engine(preprocess_many(pictures, preprocessing)[0]),
        task=engine.task,
        preprocessing=preprocessing,
        engine=EngineFacts.of(engine.backend, case.precision),
        parameters=manifest.cost.parameters,
        macs=manifest.cost.macs,
        bytes_on_disk=manifest.files[manifest.graphs[engine.graph].file].bytes,
        compute=engine.backend.compute_seconds if isinstance(engine.backend, Timed) else None,
        layers=engine.backend.layer_times if isinstance(engine.backend, Profiled) else None,
        selftest=check,
    )


def _predict(engine: Engine, pictures: Sequence[bytes]) -> object:
    """As an app does it: one picture by itself, several together."""
    if len(pictures) == 1:
        return engine.predict(pictures[0])
    return list(engine.predict_many(pictures, batch=len(pictures)))
