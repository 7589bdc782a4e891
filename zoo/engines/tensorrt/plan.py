"""A TensorRT plan, loaded: an execution context for each batch size, all on one stream and with one scratch memory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from zoo.engines.cuda import CudaBuffer, CudaStream, cuda_runtime, done
from zoo.engines.cuda_lane import Prepared
from zoo.errors import EnvironmentProblem


class Plan:
    """A deserialised plan with the bundle's signature, as a `Program` for a `CudaLane`. `batch`: fewest images, the
    number it is fastest at, most.
    """

    def __init__(
        self, trt: Any, log: Any, plan: bytes, stream: CudaStream, stack: ExitStack, *, host_code: bool
    ) -> None:
        """`host_code`: whether the plan may bring code for the CPU, as version-compatible ones do. `stack` frees
        memory, engine and runtime, in this order.

        Raises `EnvironmentProblem` with TensorRT's or CUDA's reason when it cannot run here.
        """
        self._trt, self._log, self._stream = trt, log, stream
        self._held: dict[str, Any] = {}
        cudart = cuda_runtime()
        self._load(plan, host_code, stack)
        engine = self._held["engine"]
        self._input, image = self._edge(trt.TensorIOMode.INPUT, trt.DataType.UINT8)
        self._output, logits = self._edge(trt.TensorIOMode.OUTPUT, trt.DataType.FLOAT)
        fewest, best, most = (int(shape[0]) for shape in engine.get_tensor_profile_shape(self._input, 0))
        self.batch = (fewest, best, most)
        # One pair of buffers, of the largest batch, serves all: batches run one after the other.
        self._images = CudaBuffer((most, *image[1:]), np.uint8, stream, stack)
        self._logits = CudaBuffer((most, *logits[1:]), np.float32, stream, stack)
        self._scratch_bytes = int(engine.device_memory_size_v2)
        self._scratch = int(done(cudart.cudaMalloc(max(1, self._scratch_bytes))))
        stack.callback(cudart.cudaFree, self._scratch)

    def _load(self, plan: bytes, host_code: bool, stack: ExitStack) -> None:
        runtime = self._held["runtime"] = self._trt.Runtime(self._log)
        stack.callback(self._held.pop, "runtime", None)
        runtime.engine_host_code_allowed = host_code
        engine = runtime.deserialize_cuda_engine(plan)
        self._must(engine is not None, "load the plan")
        self._held["engine"] = engine
        stack.callback(self._held.pop, "engine", None)

    def rows(self, count: int) -> int:
        """The profile has a smallest batch."""
        return max(count, self.batch[0])

    def prepare(self, shape: tuple[int, ...], stack: ExitStack) -> Prepared:
        """An execution context for images of this shape: shapes and addresses are set here, once.

        A captured graph holds the state of its context, so that each batch size has a context of its own. It lives
        as long as the launch does, which refers to it, and so longer than the graph.
        """
        del stack  # Python frees contexts
        trt, handle = self._trt, int(self._stream.handle)
        context = self._held["engine"].create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        self._must(context is not None, "create an execution context")
        context.set_device_memory(self._scratch, self._scratch_bytes)
        context.nvtx_verbosity = trt.ProfilingVerbosity.NONE  # DETAILED, for the proof, would slow every launch
        self._must(context.set_optimization_profile_async(0, handle), "choose the profile")
        self._must(context.set_input_shape(self._input, shape), f"take a batch of {shape[0]}")
        self._must(context.set_tensor_address(self._input, self._images.device), "take the input's address")
        self._must(context.set_tensor_address(self._output, self._logits.device), "take the output's address")
        self._must(not context.infer_shapes(), "infer the shapes")
        return Prepared(
            self._images, self._logits, lambda: self._must(context.execute_async_v3(handle), "run"), capture=True
        )

    def _edge(self, mode: Any, kind: Any) -> tuple[str, tuple[int, ...]]:
        """Name and shape of the only input or output, which must have the type that the bundle's signature states."""
        engine = self._held["engine"]
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        found = [name for name in names if engine.get_tensor_mode(name) == mode]
        if len(found) != 1 or engine.get_tensor_dtype(found[0]) != kind:
            raise EnvironmentProblem(f"the plan's {mode.name} {found} is not the bundle's: one {kind.name}")
        return found[0], tuple(engine.get_tensor_shape(found[0]))

    def _must(self, worked: bool, what: str) -> None:
        if not worked:
            raise EnvironmentProblem(f"TensorRT cannot {what}: {self._log.last or 'it does not say why'}")
