"""ONNX Runtime as a backend."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.engines.cuda import gpu_number
from zoo.engines.layers import LayerTime, profile_onnxruntime
from zoo.errors import EnvironmentProblem, InputError, first_line, missing_package
from zoo.machine import cores

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

Answer = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


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


def answering(session: Any) -> Answer:
    """A session as a function of the images."""
    return partial(_answer, session, session.get_inputs()[0].name, [session.get_outputs()[0].name])


def _answer(session: Any, source: str, targets: list[str], images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    answer: npt.NDArray[np.float32] = session.run(targets, {source: images})[0]
    return answer


def library() -> Any:
    """The module `onnxruntime`."""
    # Its wheel for Linux keeps usage events under ~/.cache and sends them. A library inside other people's programs
    # does neither unasked: the variable has to be there before the import, and who has set it decides.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise missing_package("onnxruntime", "", "the onnxruntime backend") from None
    return onnxruntime


def session_options(threads: int) -> Any:
    """What all sessions have in common."""
    options = library().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: everything that matters is read back
    return options


def open_session(graph: Path, options: Any, provider: str, settings: dict[str, str]) -> Any:
    """A session on this provider alone; `EnvironmentProblem` when it would be another one."""
    where = "cuda" if provider == CUDA else "cpu"
    try:
        session = library().InferenceSession(str(graph), options, providers=[(provider, settings)])
    except Exception as error:  # the library raises a dozen types of its own, all meaning "not this graph here"
        raise EnvironmentProblem(f"onnxruntime cannot run {graph.name} on {where}: {first_line(error)}") from error
    used = session.get_providers()[0]
    if used != provider:
        raise EnvironmentProblem(f"onnxruntime was asked for {provider} and would run on {used}")
    return session
