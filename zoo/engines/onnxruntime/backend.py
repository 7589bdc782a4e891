"""ONNX Runtime as a backend."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.engines.cuda import gpu_number
from zoo.engines.layers import LayerTime, profile_onnxruntime
from zoo.engines.onnxruntime.session import CPU, CUDA, Answer, answering, library, open_session, session_options
from zoo.errors import InputError
from zoo.machine import cores


class OnnxRuntime:
    """One inference session. On the CPU `Session.run` is thread-safe, so nothing is locked here."""

    name = "onnxruntime"
    # The median time of each node, over so many runs. Only on a CPU: a GPU's profile has the launches, not the work.
    layer_times: Callable[[npt.NDArray[np.uint8], int], list[LayerTime]]
    # GPU time of each of so many runs on those images, copies apart: the scope `compute`. Only on a GPU.
    compute_seconds: Callable[..., list[float]]

    def __init__(
        self, graph: Path, *, precision: str, device: str, threads: int | None, cuda_graph: bool = False
    ) -> None:
        """`cuda_graph`: on a GPU, record the launches for each batch size once and replay them."""
        del precision  # ONNX Runtime computes in the precision that the graph states
        number = gpu_number(device)
        if device != "cpu" and number is None:
            raise InputError(f"onnxruntime has no device '{device}'; there are: cpu, cuda, cuda:1 and so on")
        if cuda_graph and number is None:
            raise InputError("cuda_graph is for device 'cuda'")
        self.device = device
        self.threads = threads or cores()
        self.close: Callable[[], None] = lambda: None  # gives a GPU's memory back now; the engine is of no use after it
        if number is None:
            self._session = open_session(graph, session_options(self.threads), CPU, {})
            # No method of this object: that would be a cycle, and memory has to go with the engine's last name.
            self._run: Answer = answering(self._session)
            self.layer_times = partial(profile_onnxruntime, self._session, graph)
            self._about: dict[str, Any] = {"provider": CPU}
        else:
            from zoo.engines.onnxruntime.cuda import CudaSession

            gpu = CudaSession(graph, self.threads, number, cuda_graph=cuda_graph)
            self._run, self.compute_seconds, self.close = gpu.run, gpu.compute_seconds, gpu.close
            self._about = {"provider": CUDA, **gpu.about}

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        return self._run(images)

    def versions(self) -> dict[str, Any]:
        """The library's version, the provider in use, and on a GPU how it was set."""
        return {"onnxruntime": library().__version__, **self._about}
