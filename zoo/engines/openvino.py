"""OpenVINO as a backend, on the CPU."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from zoo.engines import forking
from zoo.engines.backend import Backend, Logits, Pixels
from zoo.engines.layers import LayerTime, of_runs
from zoo.errors import EnvironmentProblem, InputError
from zoo.machine import cores

# What OpenVINO computes in where the graph says float, by precision, and the capability of the CPU that it takes.
# Left alone it takes bf16 wherever the CPU has it, and f32 without a word where a hint cannot be followed.
HINTS = {"bf16": ("bf16", "BF16"), "fp16": ("f16", "FP16")}
HEAVY = {"Convolution", "FullyConnected", "MatMul"}
INT8 = {"i8", "u8"}


class OpenVino(Backend):
    """One compiled model and a pool of its infer requests, one for each caller at a time."""

    name, library, extra = "openvino", "openvino", "export"
    devices = ("cpu",)
    executions = MappingProxyType({"bf16": "fp32"})
    in_libzoo = True

    def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None) -> None:
        try:
            import openvino
        except ImportError:
            raise self.missing() from None
        if device != "cpu":
            raise InputError(f"openvino runs on the cpu here, not on '{device}'")
        self.device = device
        self.threads = threads or cores()
        core = _core(os.getpid())
        hint, capability = HINTS.get(precision, ("f32", "FP32"))
        if capability not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise EnvironmentProblem(
                f"this CPU has no {precision} arithmetic and openvino would compute in fp32: use precision fp32 or int8"
            )
        wanted = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": hint,
        }

        def compiled(**more: Any) -> Any:
            return core.compile_model(str(graph), "CPU", wanted | more)

        self._compiled: Callable[..., Any] = compiled
        try:
            self._model = compiled()
        except RuntimeError as error:
            raise EnvironmentProblem(
                f"openvino cannot run {graph.name}: {str(error).strip().splitlines()[-1]}"
            ) from error
        self._check(wanted)
        if precision == "int8":
            self._refuse_lost_biases(graph.name)
        if hint != "f32":
            self._prove(hint)
        self._tensor = openvino.Tensor
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def _check(self, wanted: dict[str, Any]) -> None:
        used = {
            "INFERENCE_NUM_THREADS": int(self._model.get_property("INFERENCE_NUM_THREADS")),
            "INFERENCE_PRECISION_HINT": _type_name(self._model.get_property("INFERENCE_PRECISION_HINT")),
        }
        for key, value in used.items():
            if value != wanted[key]:
                raise EnvironmentProblem(f"openvino was asked for {key}={wanted[key]} and uses {value}")

    def _prove(self, hint: str) -> None:
        """A hint that is read back is still a hint: the layers of the compiled model say what they compute in."""
        nodes = self._model.get_runtime_model().get_ops()
        used = [_fact(node, "runtimePrecision") for node in nodes if _fact(node, "layerType") in HEAVY]
        others = sorted({precision for precision in used if precision not in {hint, *INT8}})
        if used and hint not in used:
            raise EnvironmentProblem(f"openvino was asked for {hint} and computes in {', '.join(others) or 'int8'}")

    def _refuse_lost_biases(self, name: str) -> None:
        """OpenVINO takes a batch size that a graph computes with from the first convolution. When that one has two
        readers its bias goes into the quantiser behind it, which then adds the first channel's bias to all channels.
        `zoo export` writes no such graph, but others do, and older bundles hold one.
        """
        readers: dict[str, set[str]] = {}
        for node in self._model.get_runtime_model().get_ops():
            for source in node.inputs():
                made = source.get_source_output().get_node()
                if _fact(made, "layerType") == "Convolution":
                    readers.setdefault(made.get_friendly_name(), set()).add(_fact(node, "layerType"))
        if any({"ShapeOf", "FakeQuantize"} <= kinds for kinds in readers.values()):
            raise EnvironmentProblem(
                f"openvino computes {name} wrongly, because it asks for the batch size: "
                "export the bundle again, or use the onnxruntime backend"
            )

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._model.create_infer_request()
        # The library reads these very pixels, and takes no view and nothing read-only. `infer(images)` looks through
        # its arguments in Python on each call, which takes longer than a small network does.
        pixels = np.require(images, requirements=("C", "W"))
        try:
            request.set_input_tensor(self._tensor(pixels, shared_memory=True))
            request.infer()
            return np.array(request.get_output_tensor(0).data)  # a copy: the request's buffer is used again
        finally:
            self._idle.put(request)

    def layer_times(self, images: Pixels, times: int) -> list[LayerTime]:
        """The median time of each layer that runs, in a model of the same settings that counts."""
        request = self._compiled(PERF_COUNT=True).create_infer_request()
        seconds: dict[str, list[float]] = {}
        kinds: dict[str, str] = {}
        request.infer([images])
        for _ in range(times):
            request.infer([images])
            for layer in request.profiling_info:
                if layer.status.name == "EXECUTED":
                    seconds.setdefault(layer.node_name, []).append(layer.real_time.total_seconds())
                    kinds[layer.node_name] = layer.node_type
        return of_runs(seconds, kinds)

    def versions(self) -> dict[str, Any]:
        """The library's version and the precision it computes in."""
        import openvino

        precision = _type_name(self._model.get_property("INFERENCE_PRECISION_HINT"))
        return {"openvino": openvino.get_version(), "inference_precision": precision}


@cache
def _core(process: int) -> Any:
    """The library's plugins, once for a process; a forked child has its own, for it lacks the threads of the first.

    The CPU plugin gives the thread that loads it a stack for signals, and takes it away at its end. Of several plugins
    the one that ends last puts back the stack of one that has ended: the next signal with a handler, Ctrl-C or a
    child's end, then kills the process. So there is one, and it does not end.
    """
    del process
    import openvino

    core = openvino.Core()
    forking.keep_for_ever(core)
    return core


def _type_name(value: Any) -> str:
    return str(value.get_type_name()) if hasattr(value, "get_type_name") else str(value)


def _fact(node: Any, name: str) -> str:
    """A run-time fact of a node: a string, or OpenVINO's wrapper of one."""
    value = node.get_rt_info()[name]
    return value if isinstance(value, str) else str(value.astype(str))
