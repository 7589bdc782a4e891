"""A stand-in for ONNX Runtime's CUDA provider: the real library's arguments and options, answers from its CPU provider.

What the fake GPU "computes" is queued on the stream that the session was given, and reads and writes the bound
addresses when that stream is synchronised: a forgotten wait, a wrong address or freed memory shows.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as real

from tests.support.fakes.fake_cuda import Gpu

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
LIBRARY = Path(real.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
# What the provider reports where nothing is asked for, as far as the project sets it.
USUAL = {
    "device_id": "0",
    "cudnn_conv_algo_search": "EXHAUSTIVE",
    "cudnn_conv_use_max_workspace": "1",
    "prefer_nhwc": "0",
    "use_tf32": "1",
    "do_copy_in_default_stream": "1",
    "enable_cuda_graph": "0",
    "has_user_compute_stream": "0",
    "user_compute_stream": "0",
}
# What the library says of a graph that it does not run as it is told.
NOT_CAPTURED = (
    "[ONNXRuntimeError] : 1 : FAIL : This session cannot use the graph capture feature as requested by the user  as "
    "all compute graph nodes have not been partitioned to the CUDAExecutionProvider"
)
FALLBACK = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the default CPU EP, but "
    "fallback to CPU EP has been explicitly disabled by the user."
)


class World:
    """What happened, and what is to go wrong."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.ignored: set[str] = set()  # options that the provider does not follow
        self.elsewhere = False  # a node is placed on the CPU
        self.unheard = False  # a node that the provider does not have, and the library refuses
        self.copied = False  # a shape is computed from: a CPU's node, or in NHWC one of the GPU's between two copies
        self.startless = False  # the provider's libraries are not found, and the library goes on with the CPU
        self.captured: dict[int, Any] = {}  # the binding of each CUDA graph
        self.replays = 0
        self.sessions = 0


def install(world: World, patch: Any) -> None:
    """Let the project meet the fake; `patch` is pytest's monkeypatch."""
    from zoo.engines.onnxruntime import backend, cuda
    from zoo.engines.onnxruntime import session as sessions

    fake = SimpleNamespace(
        __version__=real.__version__,
        SessionOptions=real.SessionOptions,
        RunOptions=real.RunOptions,
        preload_dlls=lambda: print("looked for CUDA"),
        InferenceSession=lambda *arguments, **named: session(world, *arguments, **named),
    )
    for module in (backend, cuda, sessions):
        patch.setattr(module, "library", lambda: fake)


def session(world: World, path: str, options: Any, *, providers: list[tuple[str, dict[str, str]]]) -> Any:
    """A session as the real class makes it."""
    ((provider, settings),) = providers
    if provider == CPU:
        return real.InferenceSession(path, options, providers=providers)
    known = LIBRARY.read_bytes()
    for key, value in settings.items():
        assert key.encode() in known, f"the provider has no option {key}"
        assert isinstance(value, str)
    assert options.get_session_config_entry("session.record_ep_graph_assignment_info") == "1"
    in_nhwc = settings["prefer_nhwc"] == "1"
    if settings["enable_cuda_graph"] == "1" and (world.unheard or (world.copied and in_nhwc)):
        raise RuntimeError(NOT_CAPTURED)
    on_cpu = world.unheard or world.startless or (world.copied and not in_nhwc)
    if on_cpu and _strict(options):
        raise RuntimeError(FALLBACK)
    return Session(world, path, settings, on_cpu or world.elsewhere)


def _strict(options: Any) -> bool:
    try:
        return bool(options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1")
    except RuntimeError:  # it was never said
        return False


def _placement(on_cpu: bool) -> list[Any]:
    here = SimpleNamespace(ep_name=CUDA, get_nodes=lambda: [SimpleNamespace(op_type="Conv", name="node_1")])
    there = SimpleNamespace(ep_name=CPU, get_nodes=lambda: [SimpleNamespace(op_type="Squeeze", name="node_2")] * 4)
    return [here, there] if on_cpu else [here]


class Session:
    """One fake session. It must be gone before its stream is."""

    def __init__(self, world: World, path: str, settings: dict[str, str], on_cpu: bool) -> None:
        self._world, self._settings, self._on_cpu = world, settings, on_cpu
        self._number = int(settings["device_id"])
        self._stream = world.gpu.streams[int(settings["user_compute_stream"])]
        self._cpu = real.InferenceSession(path, providers=[CPU])
        world.sessions += 1

    def __del__(self) -> None:
        self._world.gpu.log.append("session")
        self._world.sessions -= 1

    def get_providers(self) -> list[str]:
        return [CPU] if self._world.startless else [CUDA, CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        followed = {key: value for key, value in self._settings.items() if key not in self._world.ignored}
        return {CUDA: {**USUAL, "has_user_compute_stream": "1", **followed}, CPU: {}}

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return _placement(self._on_cpu)

    def get_inputs(self) -> Any:
        return self._cpu.get_inputs()

    def get_outputs(self) -> Any:
        return self._cpu.get_outputs()

    def io_binding(self) -> Binding:
        return Binding(self._number)

    def run_with_iobinding(self, binding: Binding, options: Any) -> None:
        world = self._world
        assert world.gpu.current == self._number
        assert options.get_run_config_entry("disable_synchronize_execution_providers") == "1"
        number = int(options.get_run_config_entry("gpu_graph_id"))
        if self._settings["enable_cuda_graph"] == "1" and number != -1:
            known = world.captured.setdefault(number, binding)
            assert known is binding, "a CUDA graph replays the addresses that it was captured with"
            world.replays += 1
        self._stream.add(lambda: self._compute(binding))

    def _compute(self, binding: Binding) -> None:
        images = self._world.gpu.array(*binding.input)
        answers = self._world.gpu.array(*binding.output)
        answers[...] = self._cpu.run(None, {binding.source: images})[0]


class Binding:
    """Takes what the real `IOBinding` takes."""

    def __init__(self, number: int) -> None:
        self._number = number

    def bind_input(self, *arguments: Any) -> None:
        self.source, self.input = self._bound(real.IOBinding.bind_input, arguments)

    def bind_output(self, *arguments: Any) -> None:
        _, self.output = self._bound(real.IOBinding.bind_output, arguments)

    def _bound(self, method: Any, arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        given = inspect.signature(method).bind(self, *arguments).arguments
        assert (given["device_type"], given["device_id"]) == ("cuda", self._number)

        return given["name"], (given["buffer_ptr"], tuple(given["shape"]), np.dtype(given["element_type"]))
