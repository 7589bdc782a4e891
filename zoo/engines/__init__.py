"""Everything an app needs to run a bundle. No torch here."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

from zoo.bundle import tuned
from zoo.bundle.bundle import Bundle
from zoo.engines.backend import BACKENDS, DEVICES, RUNTIMES, backend_class, replaying
from zoo.engines.engine import Engine
from zoo.engines.precision import graph_of
from zoo.errors import EnvironmentProblem, InputError, ZooError
from zoo.tasks.prediction import Points, Prediction, Scores

__all__ = ["BACKENDS", "RUNTIMES", "Bundle", "Engine", "Points", "Prediction", "Scores", "load"]

BACKEND, PRECISION, DEVICE = "onnxruntime", "fp32", "cpu"
log = logging.getLogger(__name__)


def load(
    path: str | Path | Bundle,
    *,
    backend: str | None = None,
    precision: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    cuda_graph: bool = False,
) -> Engine:
    """Load a bundle as an engine.

    `backend`: one of `BACKENDS` (onnxruntime), or several in order of preference (`"tensorrt,onnxruntime"`): one that
    this machine cannot run, as a stale plan, is skipped with a line in the log that says why. `precision`: one of the
    bundle's graphs, or with openvino `bf16` (fp32); `device`: cpu, but cuda for tensorrt; `threads`: None takes every
    core that this process may use. With nothing asked for, what `zoo tune` chose for this bundle on this machine is
    taken, if it was ever run. `cuda_graph`: record the launches of a GPU once and replay them, where the backend does
    not do so anyway. What is asked for is what runs, or it is an error. The graph's hash is checked before it
    is used.
    """
    bundle = path if isinstance(path, Bundle) else Bundle.open(path)
    nothing_asked = not cuda_graph and all(asked is None for asked in (backend, precision, device, threads))
    if nothing_asked and (engine := _tuned(bundle)) is not None:
        return engine
    names = [name.strip() for name in (backend or BACKEND).split(",")]
    for name in names:
        backend_class(name)  # a mistake in the last is a mistake, also where the first one runs
    for name, following in pairwise(names):
        try:
            return _open(bundle, name, precision or PRECISION, device, threads, cuda_graph=cuda_graph)
        except EnvironmentProblem as problem:
            log.warning("%s is skipped in favour of %s: %s", name, following, problem)
    return _open(bundle, names[-1], precision or PRECISION, device, threads, cuda_graph=cuda_graph)


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
    bundle: Bundle,
    backend: str,
    precision: str,
    device: str | None,
    threads: int | None,
    batch: int | None = None,
    *,
    cuda_graph: bool = False,
) -> Engine:
    kind = backend_class(backend)
    graph = graph_of(bundle, backend, precision)
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, not {threads}")
    file = bundle.file(bundle.manifest.graphs[graph].file)
    device = device or DEVICES.get(backend, DEVICE)
    more = replaying(kind) if cuda_graph else {}
    made = kind(file, precision=precision, device=device, threads=threads, **more)
    return Engine(bundle, precision, graph, made, batch)
