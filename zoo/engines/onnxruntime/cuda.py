"""ONNX Runtime's CUDA provider: how its sessions are opened, and what they contribute to a `CudaLane`.

The tests have a stand-in with the real library's surface; docs/cuda.md says what ran on a GPU.
"""

from __future__ import annotations

import contextlib
import io
import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from zoo.engines.cuda import CudaBuffer, CudaStream, this_gpu
from zoo.engines.cuda_lane import BATCH_SIZES, CudaLane, Prepared
from zoo.engines.onnxruntime.session import CUDA, library, open_session, session_options
from zoo.errors import EnvironmentProblem

NAMED = 3  # nodes that a line names
NOT_CAPTURED = "cannot use the graph capture feature"  # what the library says
NO_GRAPH = "-1"  # as ONNX Runtime numbers it

SETTINGS = {
    "cudnn_conv_algo_search": "EXHAUSTIVE",  # every algorithm that cuDNN has is timed, once for each shape
    "cudnn_conv_use_max_workspace": "1",
    "prefer_nhwc": "1",  # tensor cores take this layout; the other is transposed around every convolution
    "use_tf32": "0",  # fp32 is fp32; in TF32 it would have 10 bits of mantissa
    "do_copy_in_default_stream": "1",
}
log = logging.getLogger("zoo.onnxruntime")


class CudaSession:
    """One session on one GPU, in a lane of its own. Callers wait for each other."""

    def __init__(self, graph: Path, threads: int, number: int, *, cuda_graph: bool) -> None:
        """Raises `EnvironmentProblem` for a GPU that is not there, for a node that the provider cannot compute, and
        where it does not do what it was told.
        """
        gpu = this_gpu(number)
        with ExitStack() as stack:
            stream = CudaStream(number, stack)
            settings = {
                **SETTINGS,
                "device_id": str(number),
                "enable_cuda_graph": str(int(cuda_graph)),
                "user_compute_stream": str(int(stream.handle)),
            }
            _find_libraries()
            session, settings, shapes = _open(graph, threads, settings)
            program = _Bound(session, graph.name, stream, number, cuda_graph=cuda_graph)
            del session
            stack.callback(program.forget)  # a session ends before its stream does
            program.check(settings, shapes)
            self._lane = CudaLane(stream, program, stack)
        self.run, self.compute_seconds, self.close = self._lane.run, self._lane.compute_seconds, self._lane.close
        stated = {key: settings[key] for key in (*SETTINGS, "enable_cuda_graph")}
        self.about: dict[str, Any] = {"gpu": gpu.name, "options": stated}
        if shapes:
            self.about["shapes_on_cpu"] = _listed(shapes)
            log.warning("%s: captured without NHWC, for the CPU computes shapes: %s", graph.name, _listed(shapes))


class _Bound:
    """A session as a `Program`: memory is bound to it for each batch size.

    The library captures CUDA graphs by itself, in the first run that names one, and keeps each for as long as the
    session lives, with the memory that it was captured with.
    """

    def __init__(self, session: Any, name: str, stream: CudaStream, number: int, *, cuda_graph: bool) -> None:
        self._held, self._name, self._stream, self._number = {"session": session}, name, stream, number
        self._most = BATCH_SIZES if cuda_graph else 0
        self._graphs = 0

    def forget(self) -> None:
        """Let the session go."""
        self._held.clear()

    def check(self, settings: dict[str, str], shapes: list[str]) -> None:
        """Raise `EnvironmentProblem` where the session is not what was asked for, or cannot be given memory."""
        session = self._held["session"]
        _check(session, settings, shapes)
        source, target = session.get_inputs()[0], session.get_outputs()[0]
        self._input, self._output = source.name, target.name
        self._size = target.shape[1]
        if not all(isinstance(side, int) for side in (*source.shape[1:], self._size)):
            raise EnvironmentProblem(f"{self._name} does not say how large its output is: buffers need to know")

    def rows(self, count: int) -> int:
        """As many as there are: the graph takes any number."""
        return count

    def prepare(self, shape: tuple[int, ...], stack: ExitStack) -> Prepared:
        """Memory for images of this shape, and for what comes of them, bound to the session."""
        images = CudaBuffer(shape, np.uint8, self._stream, stack)
        logits = CudaBuffer((shape[0], self._size), np.float32, self._stream, stack)
        binding = self._held["session"].io_binding()
        place = "cuda", self._number
        binding.bind_input(self._input, *place, np.uint8, images.host.shape, images.device)
        binding.bind_output(self._output, *place, np.float32, logits.host.shape, logits.device)
        options = library().RunOptions()
        captured = self._graphs < self._most
        self._graphs += captured
        options.add_run_config_entry("gpu_graph_id", str(self._graphs) if captured else NO_GRAPH)
        # The stream is ours, and so is the wait for it: after the copy back, not before.
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")
        held = self._held

        def launch() -> None:
            held["session"].run_with_iobinding(binding, options)

        return Prepared(images, logits, launch, capture=False, keep=captured)


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
    with a copy in front of it and one behind. Those cannot be captured. Without NHWC such nodes stay on the CPU, and
    the library captures where they alone do: it refuses as soon as a tensor would be copied. A replay runs none of
    them.
    """
    try:
        return open_session(graph, _options(threads), CUDA, settings), settings, []
    except EnvironmentProblem as problem:
        if not any(sign in str(problem) for sign in (NOT_CAPTURED, "fallback to CPU EP has been explicitly disabled")):
            raise
        capturing, plain = settings["enable_cuda_graph"] == "1", {**settings, "prefer_nhwc": "0"}
        try:
            if capturing:
                session = _permissive(graph, threads, plain)
                return session, plain, _elsewhere(session)
        except EnvironmentProblem as second:
            if NOT_CAPTURED not in str(second):
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
