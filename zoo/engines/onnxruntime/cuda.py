"""ONNX Runtime's CUDA provider at work: a stream of its own, buffers that stay, a CUDA graph for each batch size.

The tests have a stand-in with the real library's surface; docs/cuda.md says what ran on a GPU.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.engines.cuda import Buffer, cuda_runtime, done, event_seconds, this_gpu
from zoo.engines.onnxruntime.session import CUDA, library, open_session, session_options
from zoo.errors import EnvironmentProblem, InputError

# Batch sizes with a CUDA graph. It belongs to the session for good, with the buffers that it was recorded with.
GRAPHS = 16
LOOSE = 4  # batch sizes without one whose buffers are kept
NAMED = 3  # nodes that a line names
UNRECORDED = "cannot use the graph capture feature"  # what the library says
NEVER_RECORD = "-1"  # as ONNX Runtime calls it

SETTINGS = {
    "cudnn_conv_algo_search": "EXHAUSTIVE",  # every algorithm that cuDNN has is timed, once for each shape
    "cudnn_conv_use_max_workspace": "1",
    "prefer_nhwc": "1",  # tensor cores take this layout; the other is transposed around every convolution
    "use_tf32": "0",  # fp32 is fp32; in TF32 it would have 10 bits of mantissa
    "do_copy_in_default_stream": "1",
}
log = logging.getLogger("zoo.onnxruntime")


@dataclass(frozen=True)
class _Lane:
    """One batch size: its buffers, what binds them to the graph, and how it is run. `free` gives the memory back."""

    images: Buffer
    answers: Buffer
    binding: Any
    options: Any
    recorded: bool
    free: ExitStack


class CudaSession:
    """One session on one GPU. Callers wait for each other: a GPU computes one batch at a time anyway."""

    def __init__(self, graph: Path, threads: int, number: int, *, cuda_graph: bool) -> None:
        """Raises `EnvironmentProblem` for a GPU that is not there, for a node that the provider cannot compute, and
        where it does not do what it was told.
        """
        self._cudart, self._number, self._record = cuda_runtime(), number, cuda_graph
        gpu = this_gpu(number)
        self._turn = threading.Lock()
        self._lanes: dict[int, _Lane] = {}
        self._held: dict[str, Any] = {}
        done(self._cudart.cudaSetDevice(number))
        with ExitStack() as stack:
            self._stream = done(self._cudart.cudaStreamCreateWithFlags(self._cudart.cudaStreamNonBlocking))
            stack.callback(self._cudart.cudaStreamDestroy, self._stream)
            settings = {
                **SETTINGS,
                "device_id": str(number),
                "enable_cuda_graph": str(int(cuda_graph)),
                "user_compute_stream": str(int(self._stream)),
            }
            _find_libraries()
            self._held["session"], settings, shapes = _open(graph, threads, settings)
            stack.callback(self._held.clear)  # a session ends before its stream does
            _check(self._session, settings, shapes)
            source, target = self._session.get_inputs()[0], self._session.get_outputs()[0]
            self._input, self._output = source.name, target.name
            self._shape, self._size = tuple(source.shape[1:]), target.shape[1]
            if not all(isinstance(side, int) for side in (*self._shape, self._size)):
                raise EnvironmentProblem(f"{graph.name} does not say how large its answers are: buffers need to know")
            stack.callback(_drop, self._lanes)
            stack.callback(self._cudart.cudaStreamSynchronize, self._stream)  # an error may have left work behind
            self._free = weakref.finalize(self, stack.pop_all().close)  # now, or when Python forgets the object
        stated = {key: settings[key] for key in (*SETTINGS, "enable_cuda_graph")}
        self.about: dict[str, Any] = {"gpu": gpu.name, "options": stated}
        if shapes:
            self.about["shapes_on_cpu"] = _listed(shapes)
            log.warning("%s: recorded without NHWC, for the CPU computes shapes: %s", graph.name, _listed(shapes))

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out, through page-locked memory."""
        with self._turn:
            lane = self._upload(images)
            self._session.run_with_iobinding(lane.binding, lane.options)
            lane.answers.download(len(images), self._stream)
            done(self._cudart.cudaStreamSynchronize(self._stream))
            return np.array(lane.answers.host)

    def compute_seconds(
        self, images: npt.NDArray[np.uint8], times: int, before: Callable[[], object] | None = None
    ) -> list[float]:
        """What the GPU takes for these images, `times` times: input and output in its memory, measured by CUDA's
        events. Without a CUDA graph, the gaps between launches are a part of it.
        """
        with self._turn:
            lane = self._upload(images)

            def launch() -> None:
                self._session.run_with_iobinding(lane.binding, lane.options)

            launch()  # algorithms are chosen, the graph is recorded
            done(self._cudart.cudaStreamSynchronize(self._stream))
            return event_seconds(self._stream, launch, times, before)

    @property
    def _session(self) -> Any:
        return self._held["session"]

    def close(self) -> None:
        """Give the GPU's memory back now. The engine cannot be used afterwards."""
        with self._turn:
            self._free()

    def _upload(self, images: npt.NDArray[np.uint8]) -> _Lane:
        if not self._free.alive:
            raise InputError("this engine was closed")
        done(self._cudart.cudaSetDevice(self._number))  # a setting of each calling thread
        rows = len(images)
        lane = self._lanes.get(rows) or self._lane(rows)
        lane.images.host[:] = images
        lane.images.upload(rows, self._stream)
        return lane

    def _lane(self, rows: int) -> _Lane:
        """Buffers and binding for a batch of `rows`. A graph replays the very addresses that it was recorded with, so
        that its lane stays; of the others the oldest one makes room.
        """
        loose = [count for count, lane in self._lanes.items() if not lane.recorded]
        recorded = len(self._lanes) - len(loose)
        record = self._record and recorded < GRAPHS
        if not record and len(loose) >= LOOSE:
            self._lanes.pop(loose[0]).free.close()
        with ExitStack() as stack:
            images = Buffer((rows, *self._shape), np.uint8, stack)
            answers = Buffer((rows, self._size), np.float32, stack)
            binding = self._session.io_binding()
            there = "cuda", self._number
            binding.bind_input(self._input, *there, np.uint8, images.host.shape, images.device)
            binding.bind_output(self._output, *there, np.float32, answers.host.shape, answers.device)
            options = library().RunOptions()
            options.add_run_config_entry("gpu_graph_id", str(recorded + 1) if record else NEVER_RECORD)
            # The stream is ours, and so is the wait for it: after the copy back, not before.
            options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            self._lanes[rows] = _Lane(images, answers, binding, options, record, stack.pop_all())
        return self._lanes[rows]


def _find_libraries() -> None:
    """Load CUDA and cuDNN from NVIDIA's wheels, where they are installed. The library prints what it does not find."""
    if hasattr(library(), "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            library().preload_dlls()
        log.debug("%s", said.getvalue().strip())


def _open(graph: Path, threads: int, settings: dict[str, str]) -> tuple[Any, dict[str, str], list[str]]:
    """A session, the settings that it was opened with, and the nodes that compute shapes on the CPU: none, but where
    nothing else gives a CUDA graph.

    In NHWC the library shares the nodes out twice, and the second time a node that computes a shape goes to the GPU,
    with a copy in front of it and one behind. Those cannot be recorded. Without NHWC such nodes stay on the CPU, and
    the library records where they alone do: it refuses as soon as a tensor would be copied. A replay runs none of them.
    """
    try:
        return open_session(graph, _options(threads), CUDA, settings), settings, []
    except EnvironmentProblem as problem:
        if not any(sign in str(problem) for sign in (UNRECORDED, "fallback to CPU EP has been explicitly disabled")):
            raise
        recording, plain = settings["enable_cuda_graph"] == "1", {**settings, "prefer_nhwc": "0"}
        try:
            if recording:
                session = _permissive(graph, threads, plain)
                return session, plain, _elsewhere(session)
        except EnvironmentProblem as second:
            if UNRECORDED not in str(second):
                raise
        left = _elsewhere(_permissive(graph, threads, {**settings, "enable_cuda_graph": "0"}))
        why = f"the provider does not take {_listed(left)}" if left else "it has copies between CPU and GPU"
        way = "export it without them, or take device cpu" if left else "open it without cuda_graph"
        raise EnvironmentProblem(f"onnxruntime cannot run all of {graph.name} on cuda: {why}; {way}") from problem


def _options(threads: int) -> Any:
    options = session_options(threads)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def _permissive(graph: Path, threads: int, settings: dict[str, str]) -> Any:
    """A session that may leave nodes to the CPU, and tells which."""
    options = session_options(threads)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        return open_session(graph, options, CUDA, settings)
    except EnvironmentProblem as problem:
        if "would run on" not in str(problem):
            raise
        missing = "CUDA's and cuDNN's libraries were not found, which pip install 'distilzoo[cuda]' brings"
        raise EnvironmentProblem(f"onnxruntime cannot run {graph.name} on cuda: {missing}") from problem


def _elsewhere(session: Any) -> list[str]:
    """The nodes of another provider than CUDA's, by operator and name; none where the library is too old to tell."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return []
    parts = [part for part in session.get_provider_graph_assignment_info() if part.ep_name != CUDA]
    return [f"{node.op_type} {node.name}" for part in parts for node in part.get_nodes()]


def _listed(nodes: list[str]) -> str:
    return ", ".join(nodes[:NAMED]) + (f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else "")


def _check(session: Any, settings: dict[str, str], shapes: list[str]) -> None:
    """Raise `EnvironmentProblem` for a setting that the provider does not have, and for a node that it does not run,
    but for the ones that compute `shapes`.
    """
    used = session.get_provider_options()[CUDA]
    expected = {**settings, "has_user_compute_stream": "1"}
    for key, value in expected.items():
        if used.get(key) != value:
            raise EnvironmentProblem(f"onnxruntime was asked for {key}={value} and uses {used.get(key)}")
    if not shapes and (elsewhere := _elsewhere(session)):
        raise EnvironmentProblem(f"onnxruntime was asked for {CUDA} and runs {_listed(elsewhere)} elsewhere")


def _drop(lanes: dict[int, _Lane]) -> None:
    while lanes:
        _, lane = lanes.popitem()
        lane.free.close()
