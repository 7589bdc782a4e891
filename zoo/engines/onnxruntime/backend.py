"""ONNX Runtime as a backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from zoo.engines.backend import Backend, Logits, Pixels
from zoo.engines.cuda import gpu_number
from zoo.engines.layers import LayerTime, profile_onnxruntime
from zoo.engines.onnxruntime.session import CPU, CUDA, Run, as_function, library, open_session, session_options
from zoo.errors import InputError
from zoo.machine import cores


class OnnxRuntime(Backend):
    """One inference session. On the CPU `Session.run` is thread-safe, so nothing is locked here.

    `Profiled` on a CPU alone: a GPU's profile has the launches, not the work. `Timed` and `Closable` on a GPU alone.
    """

    name, library = "onnxruntime", "onnxruntime"
    devices = ("cpu", "cuda")
    replays = "when asked"
    in_libzoo = True
    layer_times: Callable[[Pixels, int], list[LayerTime]]
    compute_seconds: Callable[..., list[float]]
    close: Callable[[], None]

    def __init__(
        self, graph: Path, *, precision: str, device: str, threads: int | None, cuda_graph: bool = False
    ) -> None:
        """`cuda_graph`: on a GPU, capture the launches for each batch size once and replay them."""
        del precision  # ONNX Runtime computes in the precision that the graph states
        number = gpu_number(device)
        if device != "cpu" and number is None:
            raise InputError(f"onnxruntime has no device '{device}'; there are: cpu, cuda, cuda:1 and so on")
        if cuda_graph and number is None:
            raise InputError("cuda_graph is for device 'cuda'")
        self.device = device
        self.threads, self.cuda_graph = threads or cores(), cuda_graph
        if number is None:
            self._session = open_session(graph, session_options(self.threads), CPU, {})
            # No method of this object: that would be a cycle, and memory has to go with the engine's last name.
            self._run: Run = as_function(self._session)
            self.layer_times = partial(profile_onnxruntime, self._session, graph)
            self._about: dict[str, Any] = {"provider": CPU}
        else:
            from zoo.engines.onnxruntime.cuda import CudaSession

            gpu = CudaSession(graph, self.threads, number, cuda_graph=cuda_graph)
            self._run, self.compute_seconds, self.close = gpu.run, gpu.compute_seconds, gpu.close
            self._about = {"provider": CUDA, **gpu.about}

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        return self._run(images)

    def versions(self) -> dict[str, Any]:
        """The library's version, the provider in use, and on a GPU how it was set."""
        return {"onnxruntime": library().__version__, **self._about}
