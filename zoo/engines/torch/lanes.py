"""What torch computes on a GPU, fed from numpy: page-locked memory, a stream of its own, a CUDA graph if it is wanted.

The tests have a stand-in for torch's CUDA calls, and run on a GPU where there is one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

LANES = 16  # batch sizes whose buffers and CUDA graph are kept


class Cuda(Protocol):
    """What is used of the module `torch.cuda`."""

    Stream: Any
    Event: Any
    CUDAGraph: Any

    def stream(self, stream: Any) -> AbstractContextManager[Any]:
        """Work is queued on this stream."""
        ...

    def graph(self, cuda_graph: Any, *, stream: Any, capture_error_mode: str) -> AbstractContextManager[Any]:
        """Work is recorded in this graph."""
        ...


class _Lane(NamedTuple):
    """One batch size: page-locked memory, memory on the GPU, and what makes the answers there from the images there."""

    shown: Any
    images: Any
    answers: Any
    read: Any
    launch: Callable[[], Any]


class Lanes:
    """Answers on one GPU, on a stream of its own. Callers wait for each other."""

    def __init__(self, forward: Callable[[Any], Any], place: Any, cuda: Cuda, *, record: bool) -> None:
        """`forward`: uint8 tensor [N, H, W, 3] on `place`, a torch.device -> float32 [N, size] there. `record`: the
        launches are recorded once for each batch size and then replayed.
        """
        import torch

        self._torch = torch
        self._forward, self._place, self._cuda, self._record = forward, place, cuda, record
        self._stream = cuda.Stream(device=place)
        self._lanes: dict[int, _Lane] = {}
        self._turn = threading.Lock()

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        with self._turn, self._torch.inference_mode(), self._cuda.stream(self._stream):
            lane = self._upload(images)
            lane.launch()
            lane.read.copy_(lane.answers, non_blocking=True)
            self._stream.synchronize()
            return np.array(lane.read.numpy())

    def compute_seconds(
        self, images: npt.NDArray[np.uint8], times: int, before: Callable[[], object] | None = None
    ) -> list[float]:
        """GPU time of each of `times` runs: input and output in its memory, measured by CUDA's events. `before` is
        called ahead of each, when the stream is idle, and is not timed.
        """
        found = []
        with self._turn, self._torch.inference_mode(), self._cuda.stream(self._stream):
            lane = self._upload(images)
            start, end = (self._cuda.Event(enable_timing=True) for _ in range(2))
            for _ in range(times):
                if before is not None:
                    self._stream.synchronize()  # the first time, the upload may be under way
                    before()
                start.record(self._stream)
                lane.launch()
                end.record(self._stream)
                self._stream.synchronize()
                found.append(start.elapsed_time(end) / 1e3)
        return found

    def _upload(self, images: npt.NDArray[np.uint8]) -> _Lane:
        lane = self._lanes.get(len(images)) or self._lane(images.shape)
        lane.shown.numpy()[...] = images
        lane.images.copy_(lane.shown, non_blocking=True)
        return lane

    def _lane(self, shape: tuple[int, ...]) -> _Lane:
        """Buffers for a batch of this shape. What is lazy in the first runs is over before a graph is recorded."""
        if len(self._lanes) >= LANES:
            self._stream.synchronize()
            self._lanes.pop(next(iter(self._lanes)))
        pinned = self._place.type == "cuda"
        shown = self._torch.zeros(shape, dtype=self._torch.uint8, pin_memory=pinned)
        images = shown.to(self._place)
        for _ in range(2):
            made = self._forward(images)
        answers = self._torch.empty_like(made)

        def launch() -> None:
            answers.copy_(self._forward(images))

        if self._record:
            self._stream.synchronize()
            graph = self._cuda.CUDAGraph()
            with self._cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                launch()
            launch = graph.replay
        read = self._torch.empty(answers.shape, dtype=answers.dtype, pin_memory=pinned)
        self._lanes[shape[0]] = _Lane(shown, images, answers, read, launch)
        return self._lanes[shape[0]]
