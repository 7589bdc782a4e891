"""A TensorRT plan at work: one stream, buffers whose addresses never change, a CUDA graph for each batch size."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.engines.cuda import Buffer, cuda_runtime, done, event_seconds
from zoo.errors import EnvironmentProblem

GRAPHS = 16  # batch sizes whose CUDA graph is kept; a graph costs some hundred kilobytes of GPU memory


@dataclass(frozen=True)
class _Lane:
    """One batch size: its context, and the graph that was captured from it and is only valid while it lives."""

    context: Any
    graph: Any


class Plan:
    """A deserialised plan with the bundle's signature. For one caller at a time; `free` gives the GPU's memory back."""

    def __init__(self, trt: Any, log: Any, plan: bytes, *, host_code: bool) -> None:
        """`host_code`: whether the plan may bring code for the CPU, as version-compatible ones do.

        Raises `EnvironmentProblem` with TensorRT's or CUDA's reason when it cannot run here.
        """
        self._trt, self._log, self._cudart = trt, log, cuda_runtime()
        self._held: dict[str, Any] = {}
        self._lanes: dict[int, _Lane] = {}
        # Closed from the last to the first: graphs, contexts, memory, engine, runtime, stream.
        with ExitStack() as stack:
            self._stream = done(self._cudart.cudaStreamCreateWithFlags(self._cudart.cudaStreamNonBlocking))
            stack.callback(self._cudart.cudaStreamDestroy, self._stream)
            self._load(plan, host_code, stack)
            engine = self._held["engine"]
            name, image = self._tensor(trt.TensorIOMode.INPUT, trt.DataType.UINT8)
            self._output, answer = self._tensor(trt.TensorIOMode.OUTPUT, trt.DataType.FLOAT)
            self._input, self._shape = name, image[1:]
            fewest, best, most = (int(shape[0]) for shape in engine.get_tensor_profile_shape(name, 0))
            self.batch = (fewest, best, most)
            self._images = Buffer((most, *image[1:]), np.uint8, stack)
            self._answers = Buffer((most, *answer[1:]), np.float32, stack)
            self._scratch_bytes = int(engine.device_memory_size_v2)
            self._scratch = int(done(self._cudart.cudaMalloc(max(1, self._scratch_bytes))))
            stack.callback(self._cudart.cudaFree, self._scratch)
            stack.callback(_drop, self._lanes, self._cudart)
            stack.callback(self._cudart.cudaStreamSynchronize, self._stream)  # an error may have left work behind
            self.free = weakref.finalize(self, stack.pop_all().close)  # now, or when Python forgets the object

    def _load(self, plan: bytes, host_code: bool, stack: ExitStack) -> None:
        runtime = self._held["runtime"] = self._trt.Runtime(self._log)
        stack.callback(self._held.pop, "runtime", None)
        runtime.engine_host_code_allowed = host_code
        engine = runtime.deserialize_cuda_engine(plan)
        self._must(engine is not None, "load the plan")
        self._held["engine"] = engine
        stack.callback(self._held.pop, "engine", None)

    def answer(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out; N is at most the profile's largest."""
        lane, rows = self._upload(images)
        done(self._cudart.cudaGraphLaunch(lane.graph, self._stream))
        self._answers.download(rows, self._stream)
        done(self._cudart.cudaStreamSynchronize(self._stream))
        return np.array(self._answers.host[: len(images)])

    def compute_seconds(
        self, images: npt.NDArray[np.uint8], times: int, before: Callable[[], object] | None = None
    ) -> list[float]:
        """What the GPU alone takes for these images, `times` times: no copy, no Python, measured by CUDA's events."""
        lane, _ = self._upload(images)

        def launch() -> None:
            done(self._cudart.cudaGraphLaunch(lane.graph, self._stream))

        return event_seconds(self._stream, launch, times, before)

    def _upload(self, images: npt.NDArray[np.uint8]) -> tuple[_Lane, int]:
        """Put the images on the GPU; fewer than the profile takes are filled up with black ones."""
        rows = max(len(images), self.batch[0])
        lane = self._lanes.get(rows) or self._lane(rows)
        self._images.host[: len(images)] = images
        self._images.host[len(images) : rows] = 0
        self._images.upload(rows, self._stream)
        return lane, rows

    def _lane(self, rows: int) -> _Lane:
        """Context and CUDA graph for a batch of `rows`: shapes and addresses are set here, once."""
        trt, cudart, handle = self._trt, self._cudart, int(self._stream)
        engine = self._held["engine"]
        # A captured graph holds the state of its context, so that each has its own. They run one after the other and
        # share their scratch memory.
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        self._must(context is not None, "create an execution context")
        context.set_device_memory(self._scratch, self._scratch_bytes)
        context.nvtx_verbosity = trt.ProfilingVerbosity.NONE  # DETAILED, for the proof, would slow every launch
        self._must(context.set_optimization_profile_async(0, handle), "choose the profile")
        self._must(context.set_input_shape(self._input, (rows, *self._shape)), f"take a batch of {rows}")
        self._must(context.set_tensor_address(self._input, self._images.device), "take the input's address")
        self._must(context.set_tensor_address(self._output, self._answers.device), "take the output's address")
        self._must(not context.infer_shapes(), "infer the shapes")
        self._must(context.execute_async_v3(handle), "run")  # what it does lazily must not happen during the capture
        done(cudart.cudaStreamSynchronize(self._stream))
        done(cudart.cudaStreamBeginCapture(self._stream, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal))
        queued = context.execute_async_v3(handle)
        captured = done(cudart.cudaStreamEndCapture(self._stream))
        try:
            self._must(queued, "run in a CUDA graph")
            graph = done(cudart.cudaGraphInstantiate(captured, 0))
        finally:
            cudart.cudaGraphDestroy(captured)
        if len(self._lanes) >= GRAPHS:
            oldest = next(iter(self._lanes))
            cudart.cudaGraphExecDestroy(self._lanes.pop(oldest).graph)
        self._lanes[rows] = _Lane(context, graph)
        return self._lanes[rows]

    def _tensor(self, mode: Any, kind: Any) -> tuple[str, tuple[int, ...]]:
        """Name and shape of the only input or output, which must have the bundle's type."""
        engine = self._held["engine"]
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        found = [name for name in names if engine.get_tensor_mode(name) == mode]
        if len(found) != 1 or engine.get_tensor_dtype(found[0]) != kind:
            raise EnvironmentProblem(f"the plan's {mode.name} {found} is not the bundle's: one {kind.name}")
        return found[0], tuple(engine.get_tensor_shape(found[0]))

    def _must(self, worked: bool, what: str) -> None:
        if not worked:
            raise EnvironmentProblem(f"TensorRT cannot {what}: {self._log.last or 'it does not say why'}")


def _drop(lanes: dict[int, _Lane], cudart: Any) -> None:
    """Destroy graphs before the contexts that they were captured from."""
    while lanes:
        _, lane = lanes.popitem()
        cudart.cudaGraphExecDestroy(lane.graph)
