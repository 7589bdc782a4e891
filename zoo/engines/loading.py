"""From a bundle and what is asked for to an engine: `zoo.load`."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

from zoo.bundle import tuned
from zoo.bundle.bundle import Bundle
from zoo.engines.engine import Engine
from zoo.engines.opening import Opening
from zoo.engines.registry import backend_class
from zoo.errors import EnvironmentProblem, VerdictError, ZooError

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
    selftest: bool = True,
) -> Engine:
    """Load a bundle as an engine.

    `backend`: one of `zoo.engines.BACKENDS` (onnxruntime), or several in order of preference
    (`"tensorrt,onnxruntime"`): one that this machine cannot run, such as a stale plan, or that computes wrongly here,
    is skipped, and a line in the log says why. `precision`: one of the bundle's graphs (fp32), or what the backend
    executes besides, such as `bf16` with openvino. `device`: cpu, cuda or cuda:1; without it, the first that the
    backend runs on. `threads`: None takes every core that this process may use. With nothing asked for, what
    `zoo tune` chose for this bundle on this machine is taken, if it was ever run. `cuda_graph`: capture the launches
    on a GPU once and replay them, where the backend does not do so anyway. What is asked for is what runs, or it is an
    error. The graph's hash is checked before it is used.

    `selftest`: before its first answer on this machine, a backend has to give the bundle's stored logits, or it is a
    `VerdictError`; that it did is remembered in the user's cache until its library changes. Not so onnxruntime on the
    CPU, which packing ran every graph on.
    """
    bundle = path if isinstance(path, Bundle) else Bundle.open(path)
    nothing_asked = not cuda_graph and all(asked is None for asked in (backend, precision, device, threads))
    if nothing_asked and (engine := _tuned(bundle, selftest=selftest)) is not None:
        return engine
    names = [name.strip() for name in (backend or BACKEND).split(",")]
    for name in names:
        backend_class(name)  # a mistake in the last is a mistake, also where the first one runs
    ways = [Opening(bundle, name, precision or PRECISION, device, threads, cuda_graph, selftest) for name in names]
    for way, following in pairwise(ways):
        try:
            return Engine.opened(way)
        except (EnvironmentProblem, VerdictError) as problem:
            log.warning("%s is skipped in favour of %s: %s", way.backend, following.backend, problem)
    return Engine.opened(ways[-1])


def _tuned(bundle: Bundle, *, selftest: bool) -> Engine | None:
    """The engine of the tuned choice; None when there is no choice, or none that still works."""
    choice = tuned.find(bundle)
    if choice is None:
        return None
    batch = choice.batch if choice.aim == "throughput" else None  # the batch of one call is no rule for many pictures
    way = Opening(
        bundle, choice.backend, choice.precision, choice.device, choice.threads, selftest=selftest, batch=batch
    )
    try:
        engine = Engine.opened(way)
    except ZooError as error:
        log.warning("the tuned choice of %s, %s, is ignored: %s", bundle.path, choice.text, error)
        return None
    log.info("%s runs as tuned: %s", bundle.path, choice.text)
    return engine
