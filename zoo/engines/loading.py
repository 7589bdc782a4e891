"""From a bundle and what is asked for to an engine: `zoo.load`."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

from zoo.bundle import tuned
from zoo.bundle.bundle import Bundle
from zoo.engines.backend import Backend, Replayable
from zoo.engines.engine import Engine
from zoo.engines.precision import graph_of
from zoo.engines.registry import backend_class
from zoo.errors import EnvironmentProblem, InputError, ZooError

BACKEND, PRECISION = "onnxruntime", "fp32"
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

    `backend`: one of `zoo.engines.BACKENDS` (onnxruntime), or several in order of preference
    (`"tensorrt,onnxruntime"`): one that this machine cannot run, such as a stale plan, is skipped, and a line in the
    log says why. `precision`: one of the bundle's graphs (fp32), or what the backend executes besides, such as `bf16`
    with openvino. `device`: cpu, cuda or cuda:1; without it, the first that the backend runs on. `threads`: None takes
    every core that this process may use. With nothing asked for, what `zoo tune` chose for this bundle on this machine
    is taken, if it was ever run. `cuda_graph`: capture the launches on a GPU once and replay them, where the backend
    does not do so anyway. What is asked for is what runs, or it is an error. The graph's hash is checked before it is
    used.
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
    more = _replaying(kind) if cuda_graph else {}
    made = kind(file, precision=precision, device=device or kind.devices[0], threads=threads, **more)
    if cuda_graph and not (isinstance(made, Replayable) and made.cuda_graph):
        raise EnvironmentProblem(f"{backend} was asked to replay a CUDA graph and does not say that it does")
    return Engine(bundle, precision, graph, made, batch)


def _replaying(kind: type[Backend]) -> dict[str, Any]:
    """The arguments that make a backend capture its launches and replay them. `InputError` for one that cannot."""
    if kind.replays == "never":
        raise InputError(f"{kind.name} does not replay a CUDA graph: leave it out")
    return {"cuda_graph": True} if kind.replays == "when asked" else {}
