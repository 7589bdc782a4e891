"""One GPU, one stream, one batch at a time: how every backend runs on CUDA.

A library contributes a `Program`: for a number of rows, memory and a function that launches the network on the stream.
The lane does the rest, the same for all: callers wait for each other; pictures are copied into page-locked memory and
from there to the GPU; the launches are captured in a CUDA graph once for each batch size, where the program wants
that, and replayed afterwards; times are taken by CUDA's events; the oldest of many batch sizes makes room. Memory
never moves, for a graph replays the very addresses that it was captured with.

    lane = CudaLane(stream, program, close)
    logits = lane.run(images)               # upload, launch or replay, download, wait
    seconds = lane.compute_seconds(images, 100)
    lane.close()                            # or when Python forgets the lane

Streams and memory are CUDA's own (`zoo.engines.cuda`) or torch's (`zoo.engines.torch.cuda`).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zoo.engines.backend import Logits, Pixels
from zoo.errors import InputError

# Batch sizes whose memory and CUDA graph are kept; a graph costs some hundred kilobytes of the GPU's memory.
BATCH_SIZES = 16


class Buffer(Protocol):
    """The same array twice: in page-locked host memory, `host`, and on the GPU, at an address that stays."""

    host: npt.NDArray[Any]

    def upload(self, rows: int) -> None:
        """Queue the copy of the first `rows` to the GPU."""
        ...

    def download(self, rows: int) -> None:
        """Queue the copy of the first `rows` from the GPU."""
        ...


class Event(Protocol):
    """A mark in a stream."""

    def record(self) -> None:
        """Queue the mark."""
        ...

    def seconds_to(self, end: Any) -> float:
        """The time between two marks that were reached."""
        ...


class Stream(Protocol):
    """A stream of one GPU. What is queued on it runs in order."""

    def current(self) -> AbstractContextManager[object]:
        """Inside, the calling thread works on this GPU and queues on this stream."""
        ...

    def synchronize(self) -> None:
        """Wait until everything that was queued is done."""
        ...

    def event(self, stack: ExitStack) -> Event:
        """A new mark, which `stack` frees."""
        ...

    def capture(self, launch: Callable[[], object], stack: ExitStack) -> Callable[[], object]:
        """What `launch` queues, as a CUDA graph: the function that replays it. `stack` frees the graph. Nothing is
        queued when it is called, and nothing lazy is left in `launch`.
        """
        ...


@dataclass(frozen=True)
class Prepared:
    """One batch size of a program. `launch` queues the network's work, from `images` to `logits`, on the stream.

    `capture`: the lane is to capture `launch`. `keep`: it must never be freed before the program, because the library
    replays a graph of its own with this memory.
    """

    images: Buffer
    logits: Buffer
    launch: Callable[[], object]
    capture: bool
    keep: bool = False


class Program(Protocol):
    """A network that a library has loaded on the stream's GPU. It must not refer to the lane that runs it: the GPU's
    memory goes with the last name of the lane.
    """

    def rows(self, count: int) -> int:
        """How many rows a batch of `count` images is run as; the rows beyond are black images."""
        ...

    def prepare(self, shape: tuple[int, ...], stack: ExitStack) -> Prepared:
        """Memory and launch for images of `shape`, [rows, H, W, 3]; `stack` frees what they need."""
        ...


@dataclass(frozen=True)
class _Ready:
    """A batch size that has run once. `start` launches it, or replays its graph."""

    prepared: Prepared
    start: Callable[[], object]
    free: ExitStack


class CudaLane:
    """A program on its stream. Safe for several threads, which wait for each other: a GPU computes one batch at a time
    anyway.
    """

    def __init__(self, stream: Stream, program: Program, stack: ExitStack) -> None:
        """`stack` frees stream and program; the lane takes over what is on it."""
        self._stream, self._program = stream, program
        self._turn = threading.Lock()
        self._ready: dict[int, _Ready] = {}
        stack.callback(_free_all, self._ready)
        stack.callback(stream.synchronize)  # an error may have left work behind
        self._free = weakref.finalize(self, _close, stack.pop_all(), os.getpid())  # or when Python forgets the object

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        with self._turn, self._stream.current():
            ready, rows = self._upload(images)
            ready.start()
            ready.prepared.logits.download(rows)
            self._stream.synchronize()
            return np.array(ready.prepared.logits.host[: len(images)])

    def compute_seconds(self, images: Pixels, times: int, before: Callable[[], object] | None = None) -> list[float]:
        """The GPU's time of each of `times` runs, by CUDA's events: input and output are in its memory. Without a CUDA
        graph, the gaps between launches are a part of it.

        `before` is called ahead of each run, when the stream is idle, and is not timed.
        """
        with self._turn, self._stream.current(), ExitStack() as stack:
            ready, _ = self._upload(images)
            start, end = self._stream.event(stack), self._stream.event(stack)
            seconds = []
            for _ in range(times):
                if before is not None:
                    self._stream.synchronize()  # the first time, the upload may be under way
                    before()
                start.record()
                ready.start()
                end.record()
                self._stream.synchronize()
                seconds.append(start.seconds_to(end))
            return seconds

    def close(self) -> None:
        """Give the GPU's memory back now. The lane cannot be used afterwards."""
        with self._turn:
            self._free()

    def _upload(self, images: Pixels) -> tuple[_Ready, int]:
        """Queue the copy of the images to the GPU; what runs them, and as how many rows."""
        if not self._free.alive:
            raise InputError("this engine was closed")
        rows = self._program.rows(len(images))
        ready = self._ready.get(rows) or self._prepare((rows, *images.shape[1:]))
        buffer = ready.prepared.images
        buffer.host[: len(images)] = images
        buffer.host[len(images) : rows] = 0
        buffer.upload(rows)
        return ready, rows

    def _prepare(self, shape: tuple[int, ...]) -> _Ready:
        """A batch size that comes for the first time."""
        self._make_room()
        with ExitStack() as stack:
            prepared = self._program.prepare(shape, stack)
            prepared.launch()  # libraries choose algorithms and allocate in the first run, which no graph can hold
            self._stream.synchronize()
            start = self._stream.capture(prepared.launch, stack) if prepared.capture else prepared.launch
            ready = self._ready[shape[0]] = _Ready(prepared, start, stack.pop_all())
        return ready

    def _make_room(self) -> None:
        loose = [rows for rows, ready in self._ready.items() if not ready.prepared.keep]
        if len(loose) >= BATCH_SIZES:
            self._stream.synchronize()
            self._ready.pop(loose[0]).free.close()


def _close(stack: ExitStack, owner: int) -> None:
    """In the process that opened it alone: a forked child has the addresses, and no use of the GPU."""
    if os.getpid() == owner:
        stack.close()


def _free_all(ready: dict[int, _Ready]) -> None:
    while ready:
        _, one = ready.popitem()
        one.free.close()
