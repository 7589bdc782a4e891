"""The highest rate of arithmetic that the engines' own libraries reach on this machine's processor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.evidence import Rate
from bench.roofline.graphs import SHAPES, Shape, probe
from zoo.bundle.manifest import Executed
from zoo.engines.registry import backend_class, installed, runtimes
from zoo.errors import EnvironmentProblem
from zoo.graphs.work import work

PASSES = 3  # over everything: a burst of other work then spoils one visit and not the ceiling
SECONDS = 0.15  # a visit; a call takes 5 to 100 ms
LEAST_CALLS = 3
GRAPHS: dict[Executed, str] = {"fp32": "fp32", "fp16": "fp16", "int8": "int8"}


@dataclass(frozen=True)
class Probe:
    """One graph on one backend, `batch` images at once."""

    backend: str
    precision: Executed
    graph: str
    shape: Shape
    threads: int
    batch: int


def probes(threads: Sequence[int], shapes: Sequence[Shape] = SHAPES) -> list[Probe]:
    """Every runtime that is installed, in every precision that it may be asked for.

    Several threads get one image, and one each: on many of them a single image is too little to do.
    """
    return [
        Probe(backend, precision, graph, shape, count, batch)
        for backend in runtimes()
        if installed(backend) and "cpu" in backend_class(backend).devices
        for precision, graph in (GRAPHS | dict(backend_class(backend).executions)).items()
        for shape in shapes
        for count in threads
        for batch in dict.fromkeys((1, count))
    ]


def rates(wanted: Sequence[Probe], advance: Callable[[], None], *, seconds: float = SECONDS) -> list[Rate]:
    """The best rate of each (precision, threads). What a backend cannot run here is left out.

    `advance` is called `PASSES` times for each probe. `EnvironmentProblem` when nothing can be run at all.
    """
    best: dict[tuple[str, int], Rate] = {}
    problem: EnvironmentProblem | None = None
    with tempfile.TemporaryDirectory(prefix="zoo-roofline-") as folder:
        written = _write({(one.graph, one.shape) for one in wanted}, Path(folder))
        refused: set[tuple[str, str]] = set()
        for one in [one for _ in range(PASSES) for one in wanted]:
            advance()
            if (one.backend, one.precision) in refused:
                continue
            graph = written[one.graph, one.shape]
            try:
                reached = one.batch * graph.operations / _fastest_call(one, graph, seconds)
            except EnvironmentProblem as error:  # no such arithmetic in this CPU: another library may emulate it
                refused.add((one.backend, one.precision))
                problem = error
                continue
            key = (one.precision, one.threads)
            if key not in best or reached > best[key].flops_per_second:
                best[key] = Rate(
                    device="cpu",
                    precision=one.precision,
                    threads=one.threads,
                    flops_per_second=reached,
                    by=f"{one.backend}, {one.shape.title}" + (f", batch {one.batch}" if one.batch > 1 else ""),
                )
    if not best:
        raise problem or EnvironmentProblem("no runtime is installed: pip install distilzoo")
    return list(best.values())


@dataclass(frozen=True)
class _Written:
    path: Path
    operations: int
    image: npt.NDArray[np.uint8]


def _write(wanted: set[tuple[str, Shape]], folder: Path) -> dict[tuple[str, Shape], _Written]:
    import onnx

    def each() -> Iterator[tuple[tuple[str, Shape], _Written]]:
        for number, (precision, shape) in enumerate(wanted):
            model = probe(shape, precision)
            path = folder / f"{number}.onnx"
            onnx.save(model, path)
            size = [side.dim_value or 1 for side in model.graph.input[0].type.tensor_type.shape.dim]
            image = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
            yield (precision, shape), _Written(path, sum(work(model).operations.values()), image)

    return dict(each())


def _fastest_call(one: Probe, graph: _Written, seconds: float) -> float:
    """Seconds of the fastest of some calls, after one that packs weights and allocates."""
    engine = backend_class(one.backend)(graph.path, precision=one.precision, device="cpu", threads=one.threads)
    images = np.repeat(graph.image, one.batch, axis=0)
    engine.run(images)
    fastest, calls, end = float("inf"), 0, time.perf_counter() + seconds
    while calls < LEAST_CALLS or time.perf_counter() < end:
        began = time.perf_counter()
        engine.run(images)
        fastest = min(fastest, time.perf_counter() - began)
        calls += 1
    return fastest
