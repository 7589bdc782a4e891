"""libzoo in the table: its loop in C, `zoo-native-bench`, as rows whose backend is called `libzoo-...`.

The program is where `make native` and wheels with the library put it, or beside the library that `ZOO_LIBRARY` names.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.cases import Case
from bench.evidence import Embedded, Reopening, Saturation, Start
from bench.gpu import CUDA, is_gpu
from bench.results import NS_PER_MS, EngineFacts, Results, Row, Timing
from bench.stats import median, median_interval
from bench.subjects.photos import photo_files
from zoo.engines import Bundle
from zoo.engines.precision import graph_of
from zoo.engines.registry import BACKENDS, backend_class
from zoo.errors import EnvironmentProblem, InputError
from zoo.preprocess.libzoo import library_path, runtimes

PREFIX = "libzoo-"
# By the name of the row's backend: the one of Python's engines with the same library.
NATIVE = {f"{PREFIX}{name}": name for name in BACKENDS if backend_class(name).in_libzoo}
PROGRAM = "zoo-native-bench"
WARM_CALLS = 10  # two rounds of WARM_CALLS in the C program: one to warm up, one to see how long a call takes


def is_native(backend: str) -> bool:
    """Whether a row's or a case's backend is libzoo's."""
    return backend in NATIVE


def program() -> Path:
    """The compiled loop; `EnvironmentProblem` where libzoo was not built."""
    library = library_path()
    found = None if library is None else library.parent.parent / "bin" / PROGRAM
    if found is None or not found.is_file():
        raise EnvironmentProblem(
            f"{found or PROGRAM} is not there: libzoo is timed where it was built (`make native` in a checkout, or "
            "ZOO_LIBRARY=PREFIX/lib/libzoo.so.1)"
        )
    return found


def rows(case: Case) -> Iterator[Row]:
    """Measure a case whose backend is libzoo's, one process for each batch size.

    Raises `EnvironmentProblem` with the program's line when it cannot run the case.
    """
    bundle = Bundle.open(case.subject)
    graph = bundle.file(bundle.manifest.graphs[graph_of(bundle, NATIVE[case.backend], case.precision)].file)
    photos = [] if case.photos is None else photo_files(case.photos)
    for batch in case.batches:
        found = _run(case, batch, photos)
        timing, embedded = _times(found, case, batch)
        ran, opening = found["engine"], _opening(found["open"])
        engine = EngineFacts(
            backend=case.backend,
            precision=case.precision,
            device=ran["device"],
            threads=ran["threads"],
            versions={"libzoo": found["version"], "runtime": ran["runtime"]},
        )
        yield Row.of(
            case,
            batch,
            engine,
            parameters=bundle.manifest.cost.parameters,
            macs=bundle.manifest.cost.macs,
            bytes_on_disk=graph.stat().st_size,
            peak_memory=found["peak_memory"],
            top=found.get("top") or None,
            start=Start(load_ms=opening.load_ms, first_call_ms=opening.first_call_ms),
            saturation=_saturation(found, batch),
            embedded=embedded,
            timing=timing,
        )


def _run(case: Case, batch: int, photos: list[Path]) -> Any:
    if case.scope == "compute" or (photos and batch != 1):
        raise InputError("libzoo's loop measures the scope call, and the scope image with one picture at a time")
    command = [program(), case.subject, "--backend", NATIVE[case.backend], "--precision", case.precision]
    command += ["--device", CUDA if is_gpu(case.device) else case.device]  # this process sees no other GPU
    command += ["--seconds", f"{case.limits.seconds:g}", "--batch", str(batch)]
    if case.threads is not None:
        command += ["--threads", str(case.threads)]
    done = subprocess.run(
        [str(word) for word in (*command, *photos)],
        env=runtimes() | os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise EnvironmentProblem(said[-1] if said else f"{PROGRAM} ended with status {done.returncode}")
    return json.loads(done.stdout)


def _opening(times: Any) -> Reopening:
    names = {"load_ms": "load", "first_call_ms": "first", "backend_open_ms": "backend"}
    return Reopening(**{field: median(times[name]) / NS_PER_MS for field, name in names.items()})


def _times(found: Any, case: Case, batch: int) -> tuple[Timing, Embedded]:
    opening = {"backend_open_ms": _opening(found["open"]).backend_open_ms, "again": _opening(found["again"])}
    rounds = found[case.scope]["rounds"]
    timing = Timing.of(rounds, batch=batch, stop="time limit", warmup_calls=WARM_CALLS)
    if case.scope == "image":
        before = median([median(calls) for calls in found["preprocess"]["rounds"]]) / NS_PER_MS
        return timing, Embedded(overhead_us=None, overhead_interval_us=None, preprocess_ms=before, **opening)
    pairs = zip(rounds, found["backend"]["rounds"], strict=True)
    gaps = [(median(ours) - median(theirs)) / 1e3 for ours, theirs in pairs]
    return timing, Embedded(
        overhead_us=median(gaps),
        overhead_interval_us=median_interval(gaps),
        preprocess_ms=None,
        **opening,
    )


def _saturation(found: Any, batch: int) -> list[Saturation]:
    """One and two threads that share the model, each with a context of its own."""
    if "sharing" not in found:
        return []
    sharing = found["sharing"]
    return [
        Saturation(
            streams=streams,
            images_per_second=batch * 1e9 / median(sharing[name]),
            calls=streams * sharing["calls"] * len(sharing[name]),
        )
        for streams, name in ((1, "one"), (2, "two"))
    ]


def facts(results: Results) -> list[str]:
    """One line for each of libzoo's rows: what an app gets besides the times in the table."""
    return [_fact(row, row.embedded, row.start) for row in results.rows if row.embedded and row.start]


def _fact(row: Row, embedded: Embedded, start: Start) -> str:
    parts = []
    if embedded.overhead_us is not None:
        low, high = embedded.overhead_interval_us or (None, None)
        interval = "" if low is None else f" (95 %: {low:.2f} to {high:.2f})"
        parts.append(f"zoo_run adds {embedded.overhead_us:.2f} µs{interval} to the backend's own call")
    if embedded.preprocess_ms is not None:
        parts.append(f"a file's bytes become pixels in {embedded.preprocess_ms:.3g} ms")
    if len(row.saturation) == 2:
        one, two = (level.images_per_second for level in row.saturation)
        parts.append(f"two threads on one model do {two / one:.2f} times the work of one")
    ratio = (start.load_ms + start.first_call_ms) / embedded.backend_open_ms
    parts.append(f"opening to the first prediction takes {ratio:.2f} times the backend's own opening")
    if (again := embedded.again) is not None:
        ratio = (again.load_ms + again.first_call_ms) / again.backend_open_ms
        parts.append(f"{ratio:.2f} times where the process has opened it before")
    return f"{row.model} · {row.engine.text}, batch {row.batch}: {'; '.join(parts)}"
