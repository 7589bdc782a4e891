"""What torch contributes to a `CudaLane`: its streams, events, CUDA graphs and page-locked memory, and a network.

The tests have a stand-in for torch's CUDA calls, and run on a GPU where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

import numpy.typing as npt

from zoo.engines.cuda_lane import CudaLane, Prepared


class Cuda(Protocol):
    """What is used of the module `torch.cuda`."""

    Stream: Any
    Event: Any
    CUDAGraph: Any

    def stream(self, stream: Any) -> AbstractContextManager[Any]:
        """Work is queued on this stream."""
        ...

    def graph(self, cuda_graph: Any, *, stream: Any, capture_error_mode: str) -> AbstractContextManager[Any]:
        """Work is captured in this graph."""
        ...


def lane(forward: Callable[[Any], Any], place: Any, cuda: Cuda, *, cuda_graph: bool) -> CudaLane:
    """A network on a stream of its own. `forward`: uint8 tensor [N, H, W, 3] on `place`, a torch.device -> float32
    [N, size] there. `cuda_graph`: its launches are captured once for each batch size and then replayed.
    """
    stream = TorchStream(place, cuda)
    return CudaLane(stream, Forward(forward, place, cuda_graph=cuda_graph), ExitStack())


class TorchStream:
    """A stream of torch's, as `zoo.engines.cuda_lane.Stream`."""

    def __init__(self, place: Any, cuda: Cuda) -> None:
        self._cuda, self._stream = cuda, cuda.Stream(device=place)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Work of this thread is queued on the stream, and nothing is kept for a gradient."""
        import torch

        with torch.inference_mode(), self._cuda.stream(self._stream):
            yield

    def synchronize(self) -> None:
        """Wait until everything that was queued is done."""
        self._stream.synchronize()

    def event(self, stack: ExitStack) -> TorchEvent:
        """A new mark. Torch frees it."""
        del stack
        return TorchEvent(self._cuda.Event(enable_timing=True), self._stream)

    def capture(self, launch: Callable[[], object], stack: ExitStack) -> Callable[[], object]:
        """What `launch` queues, as a CUDA graph: the function that replays it. Torch frees it."""
        del stack
        graph = self._cuda.CUDAGraph()
        with self._cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            launch()
        replay: Callable[[], object] = graph.replay
        return replay


class TorchEvent:
    """A mark in a stream."""

    def __init__(self, event: Any, stream: Any) -> None:
        self._event, self._stream = event, stream

    def record(self) -> None:
        """Queue the mark."""
        self._event.record(self._stream)

    def seconds_to(self, end: TorchEvent) -> float:
        """The time between two marks that were reached."""
        return float(self._event.elapsed_time(end._event)) / 1e3


class TorchBuffer:
    """The same tensor on the GPU (`device`) and in page-locked host memory (`host`, as an array)."""

    def __init__(self, device: Any, *, pinned: bool) -> None:
        import torch

        self.device = device
        self._host = torch.zeros(device.shape, dtype=device.dtype, pin_memory=pinned)
        self.host: npt.NDArray[Any] = self._host.numpy()

    def upload(self, rows: int) -> None:
        """Queue the copy of the first `rows` to the GPU."""
        self.device[:rows].copy_(self._host[:rows], non_blocking=True)

    def download(self, rows: int) -> None:
        """Queue the copy of the first `rows` from the GPU."""
        self._host[:rows].copy_(self.device[:rows], non_blocking=True)


class Forward:
    """A network of torch's as a `Program`."""

    def __init__(self, forward: Callable[[Any], Any], place: Any, *, cuda_graph: bool) -> None:
        self._forward, self._place, self._cuda_graph = forward, place, cuda_graph

    def rows(self, count: int) -> int:
        """As many as there are."""
        return count

    def prepare(self, shape: tuple[int, ...], stack: ExitStack) -> Prepared:
        """Tensors for images of this shape. The first run says how large the output is; what is compiled is compiled in
        it.
        """
        del stack
        import torch

        pinned, forward = self._place.type == "cuda", self._forward
        images = TorchBuffer(torch.zeros(shape, dtype=torch.uint8, device=self._place), pinned=pinned)
        logits = TorchBuffer(torch.empty_like(forward(images.device)), pinned=pinned)
        return Prepared(images, logits, lambda: logits.device.copy_(forward(images.device)), capture=self._cuda_graph)
