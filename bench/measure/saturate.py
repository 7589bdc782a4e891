"""Throughput when several callers share one engine, each in a thread of its own, as in a server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError

from bench.clock import Call, Clock
from bench.evidence import Saturation
from bench.inputs import Batch
from bench.measure.rounds import no_collection

# A hundred time slices of the scheduler, so that every caller gets its share of the cores.
SECONDS = 1.0


def saturate(
    call: Call,
    inputs: Sequence[Batch],
    streams: int,
    *,
    seconds: float = SECONDS,
    clock: Clock = time.perf_counter_ns,
) -> Saturation:
    """Let `streams` threads call for `seconds`, each at least once, and count what they answered by the last return.

    Every thread first makes one call that does not count, because engines give each caller buffers of its own. What a
    call raises ends all of them and is raised here.
    """
    together = Barrier(streams)

    def caller(number: int) -> tuple[int, int, int]:
        place = number
        try:
            call(inputs[place % len(inputs)])
            together.wait()
            began = now = clock()
            calls = 0
            while calls == 0 or now - began < seconds * 1e9:
                place += 1
                call(inputs[place % len(inputs)])
                calls += 1
                now = clock()
        except BaseException:
            together.abort()  # the others must not wait for one that will not come
            raise
        return began, now, calls

    with no_collection(), ThreadPoolExecutor(streams) as pool:
        futures = [pool.submit(caller, number) for number in range(streams)]
        errors = [future.exception() for future in futures]
        for error in sorted((one for one in errors if one is not None), key=_only_followed):
            raise error
        found = [future.result() for future in futures]
    calls = sum(count for _, _, count in found)
    passed = max(ended for _, ended, _ in found) - min(began for began, _, _ in found)
    return Saturation(streams=streams, images_per_second=calls * len(inputs[0]) / (max(1, passed) / 1e9), calls=calls)


def _only_followed(error: BaseException) -> bool:
    """Whether this thread only stopped because another did."""
    return isinstance(error, BrokenBarrierError)
