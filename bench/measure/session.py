"""One case from the file's name to its rows, in the order in which nothing disturbs what comes after.

Load, first call, then the checks that need logits, then the times of every batch size. What would disturb a time (many
callers, a profiler) or would take long (energy) comes when all times are taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.cases import Case
from bench.evidence import Energy, Layer, Start
from bench.gpu import CUDA, Device, State, find, is_gpu, meter
from bench.host import peak_memory
from bench.measure import Batch, Call, Clock, Timer, measure, on_device, on_host, random_batches, stop_rule
from bench.measure.cold import ColdL2
from bench.measure.energy import energy, rapl, unknown
from bench.measure.saturate import saturate
from bench.results import Row
from bench.subjects.accuracy import evaluate
from bench.subjects.opening import open_subject
from bench.subjects.photos import in_batches, read_photos
from bench.subjects.subject import Subject

# A profile's median needs a few runs; ten are a short pass even for a teacher.
PROFILED = 10
# Runs of the device between two looks at its energy counter: a look costs the host some microseconds.
COMPUTED = 16


@dataclass(frozen=True)
class _Work:
    """How the case's scope feeds, calls and times its subject.

    `run` is what an app calls; `call` is what keeps the device busy, and runs `runs` batches.
    """

    inputs: Callable[[int], Sequence[Batch]]
    run: Call
    timer: Timer
    call: Call
    runs: int = 1


def rows(case: Case, clock: Clock = time.perf_counter_ns) -> Iterator[Row]:
    """Rows of the case: of each batch size one as soon as it is timed, and a fuller one later if there is more to say.

    Raises the errors of `open_subject`, of the checks, and of what is measured.
    """
    gpu = find(CUDA) if is_gpu(case.device) else None  # the process that started this one lets it see no other
    state = None if gpu is None else State(gpu)
    photos = [] if case.photos is None else read_photos(case.photos)
    began = clock()
    subject = open_subject(case.model_copy(update={"device": CUDA}) if gpu else case)
    load_ms = (clock() - began) / 1e6
    work = _work(case, subject, photos, clock)
    first = work.inputs(case.batches[0])[0]
    began = clock()
    work.run(first)
    start = Start(load_ms=load_ms, first_call_ms=(clock() - began) / 1e6)
    if case.selftest:
        subject.selftest()
    accuracy = None if case.evaluation is None else evaluate(subject, case.evaluation)
    top = [int(subject.decide([photo])[0].argmax()) for photo in photos]
    timed: list[Row] = []
    for batch in case.batches:
        timing = measure(
            work.timer,
            work.inputs(batch),
            criteria=stop_rule(case.limits),
            clock=clock,
            whole=bool(photos),
            watch=state,
        )
        row = Row.of(
            case,
            batch,
            subject.engine.model_copy(update={"device": case.device}),
            accuracy=accuracy,
            parameters=subject.parameters,
            macs=subject.macs,
            bytes_on_disk=subject.bytes_on_disk,
            peak_memory=None if accuracy else peak_memory(),
            top=top or None,
            start=None if timed else start,
            gpu=None if state is None else state.seen(),
            timing=timing,
        )
        timed.append(row)
        yield row
    for row in timed:
        if more := _more(case, subject, work, row, gpu):
            yield row.model_copy(update=more)


def _work(case: Case, subject: Subject, photos: Sequence[bytes], clock: Clock) -> _Work:
    if photos:
        see = subject.predict
        return _Work(lambda batch: in_batches(photos, batch), see, on_host(see, clock), see)

    def drawn(batch: int) -> Sequence[Batch]:
        return random_batches(batch, subject.preprocessing.height, subject.preprocessing.width)

    before = ColdL2() if case.variant == "cold-l2" else None
    if case.scope == "compute" and (compute := subject.compute) is not None:
        timer = on_device(compute, before=before)
        return _Work(drawn, subject.logits, timer, lambda images: compute(images, COMPUTED), runs=COMPUTED)
    return _Work(drawn, subject.logits, on_host(subject.logits, clock, before=before), subject.logits)


def _more(case: Case, subject: Subject, work: _Work, row: Row, gpu: Device | None) -> dict[str, Any]:
    """The fields of a row that are not taken while something is timed."""
    found: dict[str, Any] = {}
    if not (case.streams or case.energy or case.layers):
        return found
    inputs = work.inputs(row.batch)
    levels = [streams for streams in case.streams if streams == 1 or subject.shareable]
    if levels:
        seconds = min(1.0, case.limits.seconds)
        found["saturation"] = [saturate(work.call, inputs, streams, seconds=seconds) for streams in levels]
    if case.energy:
        found["energy"] = _energy(work, inputs, gpu)
    if case.layers and subject.layers is not None:
        times = subject.layers(
            random_batches(row.batch, subject.preprocessing.height, subject.preprocessing.width)[0], PROFILED
        )
        found["layers"] = [Layer(name=one.name, kind=one.kind, ms=one.seconds * 1e3) for one in times]
    return found


def _energy(work: _Work, inputs: Sequence[Batch], gpu: Device | None) -> Energy:
    counter = rapl() if gpu is None else meter(gpu)
    return unknown(counter) if isinstance(counter, str) else energy(work.call, inputs, counter, runs=work.runs)
