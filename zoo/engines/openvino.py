"""OpenVINO as a backend, on the CPU."""

from __future__ import annotations

import os
import queue
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import EnvironmentProblem, InputError, missing_package


class OpenVino:
    """One compiled model and a pool of its infer requests, one for each caller at a time."""

    name = "openvino"

    def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None) -> None:
        try:
            import openvino
        except ImportError:
            raise missing_package("openvino", "export", "the openvino backend") from None
        if device != "cpu":
            raise InputError(f"openvino runs on the cpu here, not on '{device}'")
        self.device = device
        self.threads = threads or len(os.sched_getaffinity(0))
        # Left alone, OpenVINO computes in bf16 wherever the CPU has it: the graph's precision is not what would run.
        wanted = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f16" if precision == "fp16" else "f32",
        }
        if precision == "fp16":
            supported = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
            if "FP16" not in supported:
                raise EnvironmentProblem("this CPU has no fp16 arithmetic for openvino: use precision fp32 or int8")
        try:
            self._model = openvino.Core().compile_model(str(graph), "CPU", wanted)
        except RuntimeError as error:
            raise EnvironmentProblem(
                f"openvino cannot run {graph.name}: {str(error).strip().splitlines()[-1]}"
            ) from error
        self._check(wanted)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def _check(self, wanted: dict[str, Any]) -> None:
        used = {
            "INFERENCE_NUM_THREADS": int(self._model.get_property("INFERENCE_NUM_THREADS")),
            "INFERENCE_PRECISION_HINT": _type_name(self._model.get_property("INFERENCE_PRECISION_HINT")),
        }
        for key, value in used.items():
            if value != wanted[key]:
                raise EnvironmentProblem(f"openvino was asked for {key}={wanted[key]} and uses {value}")

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._model.create_infer_request()
        try:
            request.infer([images], share_inputs=True)
            return np.array(request.get_output_tensor(0).data)  # a copy: the request's buffer is used again
        finally:
            self._idle.put(request)

    def versions(self) -> dict[str, Any]:
        """The library's version and the precision it computes in."""
        import openvino

        precision = _type_name(self._model.get_property("INFERENCE_PRECISION_HINT"))
        return {"openvino": openvino.get_version(), "inference_precision": precision}


def _type_name(value: Any) -> str:
    return str(value.get_type_name()) if hasattr(value, "get_type_name") else str(value)
