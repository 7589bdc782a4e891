"""`python -m bench.gate.child FD`: one process of a pair, which runs a turn whenever it is told to.

Lines of JSON: the `Job` and then a `Turn` for each turn on stdin; replies on file descriptor FD: first `Ready`, then
the list of a turn's times in nanoseconds. The end of stdin ends the process, after its peak memory. An error is one
object `{"error": "one line"}`. What libraries print goes to stdout and stderr and does not get in between.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from bench.host import peak_memory
from bench.measure import WarmUp
from bench.results import EngineFacts
from bench.stats import median
from zoo.bundle.manifest import Executed
from zoo.engines import load
from zoo.engines.backend import Backend
from zoo.engines.registry import backend_class
from zoo.errors import ZooError, unexpected
from zoo.schemas import Strict

Run = Callable[[Any], np.ndarray]
Clock = Callable[[], int]
CHECK = "check"  # the key of images that are run once and not timed
# Runtimes keep their threads spinning for about this long after a call, hoping for the next one. The calls before a
# turn, whose times are thrown away, last longer than what is left of the other arm's spinning.
SETTLE_NS = 1_000_000


class Job(Strict):
    """What a process is asked to run."""

    subject: Path
    is_bundle: bool
    backend: str
    precision: Executed
    device: str
    threads: int | None
    feed: Path
    outputs: Path
    injected: float


class Turn(Strict):
    """So many calls."""

    calls: int


class Ready(Strict):
    """The engine is loaded and warm; its outputs for the whole feed are in the job's file."""

    load_ms: float
    first_call_ms: float
    call_ns: float
    engine: EngineFacts


def turn(run: Run, feed: Iterator[Any], calls: int, *, injected: float, clock: Clock) -> list[int]:
    """The times of `calls` calls, after untimed ones for `SETTLE_NS`, at least one.

    `injected` > 0 makes each call longer by that share of itself, with work that does nothing: a slowdown on purpose.
    """
    began = clock()
    run(next(feed))
    while 0 <= clock() - began < SETTLE_NS:  # a clock that jumps back ends this too
        run(next(feed))
    times = [0] * calls
    for i in range(calls):
        images = next(feed)
        start = clock()
        run(images)
        if injected:
            end = clock()
            end += int((end - start) * injected)
            while clock() < end:
                pass
        times[i] = clock() - start
    return times


def _engine(job: Job) -> tuple[Run, Backend]:
    if job.is_bundle:
        engine = load(job.subject, backend=job.backend, precision=job.precision, device=job.device, threads=job.threads)
        return engine, engine.backend
    made = backend_class(job.backend)(job.subject, precision=job.precision, device=job.device, threads=job.threads)
    return made.run, made


def _prepare(job: Job, clock: Clock) -> tuple[Run, list[Any], Ready]:
    from safetensors.numpy import load_file, save_file

    arrays = load_file(job.feed)
    batches = [array for name, array in sorted(arrays.items()) if name != CHECK]
    began = clock()
    run, backend = _engine(job)
    loaded = clock()
    run(batches[0])
    first = clock()
    save_file({name: np.ascontiguousarray(run(array)) for name, array in arrays.items()}, job.outputs)
    warm_up, feed, times = WarmUp(seconds=0.1), cycle(batches), [0]
    started = clock()
    while not warm_up.enough(len(times) - 1, (clock() - started) / 1e9):
        start = clock()
        run(next(feed))
        times.append(clock() - start)
    ready = Ready(
        load_ms=(loaded - began) / 1e6,
        first_call_ms=(first - loaded) / 1e6,
        call_ns=median(times[1:]),
        engine=EngineFacts.of(backend, job.precision),
    )
    return run, batches, ready


def serve(orders: TextIO, reply: Callable[[Any], None], clock: Clock = time.perf_counter_ns) -> None:
    """Answer every line of `orders` until it ends."""
    run, batches, ready = _prepare(job := Job.model_validate_json(orders.readline()), clock)
    feed = cycle(batches)
    gc.collect()
    gc.disable()
    reply(ready.model_dump(mode="json"))
    for line in iter(orders.readline, ""):
        calls = Turn.model_validate_json(line).calls
        reply(turn(run, feed, calls, injected=job.injected, clock=clock))
    reply({"peak_bytes": peak_memory() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


def main(descriptor: int) -> int:
    """Serve on stdin and `descriptor`."""
    with os.fdopen(descriptor, "w", encoding="utf-8") as pipe:

        def reply(data: Any) -> None:
            print(json.dumps(data), file=pipe, flush=True)

        try:
            serve(sys.stdin, reply)
        except ZooError as error:
            reply({"error": str(error)})
            return error.exit_code
        except Exception as error:  # whatever a library raises ends this benchmark, with its reason, and not the gate
            reply({"error": unexpected(error)})
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
