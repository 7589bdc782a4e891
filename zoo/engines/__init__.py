"""Everything an app needs to run a bundle. No torch here."""

from __future__ import annotations

import logging
from pathlib import Path

from zoo.engines import tuned
from zoo.engines.backend import BACKENDS, backend_class
from zoo.engines.bundle import Bundle
from zoo.engines.decoding import Points, Prediction, Scores
from zoo.engines.engine import Engine
from zoo.engines.precision import graph_of
from zoo.errors import InputError, ZooError

__all__ = ["BACKENDS", "Bundle", "Engine", "Points", "Prediction", "Scores", "load"]

BACKEND, PRECISION, DEVICE = "onnxruntime", "fp32", "cpu"
log = logging.getLogger(__name__)


def load(
    path: str | Path | Bundle,
    *,
    backend: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> Engine:
    """Load a bundle as an engine.

    `backend`: one of `BACKENDS` (onnxruntime); `precision`: one of the bundle's graphs, or with openvino `bf16`
    (fp32); `device`: cpu; `threads`: None takes every core that this process may use. With nothing asked for, what
    `zoo tune` chose for this bundle on this machine is taken, if it was ever run. What is asked for is what runs, or
    it is an error. The graph's hash is checked before it is used.
    """
    bundle = path if isinstance(path, Bundle) else Bundle.open(path)
    nothing_asked = all(asked is None for asked in (backend, precision, device, threads))
    if nothing_asked and (engine := _tuned(bundle)) is not None:
        return engine
    return _open(bundle, backend or BACKEND, precision or PRECISION, device or DEVICE, threads)


def _tuned(bundle: Bundle) -> Engine | None:
    """The engine of the tuned choice; None when there is no choice, or none that still works."""
    choice = tuned.find(bundle)
    if choice is None:
        return None
    batch = choice.batch if choice.aim == "throughput" else None  # the batch of one call is no rule for many pictures
    try:
        engine = _open(bundle, choice.backend, choice.precision, choice.device, choice.threads, batch)
    except ZooError as error:
        log.warning("the tuned choice of %s, %s, is ignored: %s", bundle.path, choice.text, error)
        return None
    log.info("%s runs as tuned: %s", bundle.path, choice.text)
    return engine


def _open(
    bundle: Bundle, backend: str, precision: str, device: str, threads: int | None, batch: int | None = None
) -> Engine:
    kind = backend_class(backend)
    graph = graph_of(bundle, backend, precision)
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, not {threads}")
    file = bundle.file(bundle.manifest.graphs[graph].file)
    return Engine(bundle, precision, graph, kind(file, precision=precision, device=device, threads=threads), batch)
