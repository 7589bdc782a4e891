"""ONNX Runtime as a backend."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.engines.layers import LayerTime, read_onnxruntime
from zoo.engines.machine import cores
from zoo.errors import EnvironmentProblem, InputError, first_line, missing_package

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """One inference session. `Session.run` is thread-safe, so nothing is locked here."""

    name = "onnxruntime"

    def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None) -> None:
        del precision  # ONNX Runtime computes in the precision that the graph states
        try:
            import onnxruntime
        except ImportError:
            raise missing_package("onnxruntime", "", "the onnxruntime backend") from None
        if device not in PROVIDERS:
            raise InputError(f"onnxruntime has no device '{device}'; there are: {', '.join(PROVIDERS)}")
        self.device = device
        self.threads = threads or cores()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors only: everything that matters is read back below
        if device != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            self._session = onnxruntime.InferenceSession(str(graph), options, providers=[PROVIDERS[device]])
        except Exception as error:  # the library raises a dozen types of its own, all meaning "not this graph here"
            raise EnvironmentProblem(f"onnxruntime cannot run {graph.name} on {device}: {first_line(error)}") from error
        used = self._session.get_providers()[0]
        if used != PROVIDERS[device]:
            raise EnvironmentProblem(f"onnxruntime was asked for {PROVIDERS[device]} and would run on {used}")
        self._graph = graph
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[0].name]

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        answer: npt.NDArray[np.float32] = self._session.run(self._outputs, {self._input: images})[0]
        return answer

    def layer_times(self, images: npt.NDArray[np.uint8], times: int) -> list[LayerTime]:
        """The median time of each node, in a session of the same settings that profiles."""
        import onnxruntime

        with tempfile.TemporaryDirectory(prefix="zoo-profile-") as folder:
            options = self._session.get_session_options()
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder, "profile"))
            providers = list(self._session.get_provider_options().items())
            session = onnxruntime.InferenceSession(str(self._graph), options, providers=providers)
            for _ in range(1 + times):
                session.run(self._outputs, {self._input: images})
            return read_onnxruntime(Path(session.end_profiling()), warm=1)

    def versions(self) -> dict[str, Any]:
        """The library's version and the provider in use."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__, "provider": self._session.get_providers()[0]}
