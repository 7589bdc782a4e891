"""A stand-in for `tensorrt` whose surface is that of a real version: what TensorRT does not have, this has not either.

`surface.json` holds classes, members, signatures and enums of the real bindings. Each behaviour below has to be in it,
every call is checked against the real signature, and no attribute can be set that is not there. Plans hold the ONNX
graph and are run by ONNX Runtime, so that answers are real.
"""

from __future__ import annotations

import ctypes
import enum
import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx

from tests.support.fakes.fake_cuda import Gpu
from tests.support.fakes.tensorrt_surface import SURFACE, build_class

MARK = b"FAKEPLAN"
TYPES = {onnx.TensorProto.FLOAT: "Float", onnx.TensorProto.FLOAT16: "Half", onnx.TensorProto.INT8: "Int8"}


@dataclass
class World:
    """One machine: its GPU, its TensorRT, and what shall go wrong."""

    gpu: Gpu
    version: str
    builds: int = 0
    silent_fp32: bool = False  # TensorRT builds fp32 out of an fp16 graph, without a word
    padding: int = 0  # bytes by which every plan is longer
    refuse: set[str] = field(default_factory=set)  # methods that answer with False or None
    at_step: Callable[[int], None] = lambda step: None  # called within a build
    timings_seen: list[bytes] = field(default_factory=list)
    wrong: float = 0.0  # added to every answer

    @property
    def generation(self) -> int:
        return int(self.version.split(".")[0])


def make(world: World) -> ModuleType:
    """The module, for `sys.modules`."""
    trt = ModuleType("tensorrt")
    trt.__version__ = world.version
    known = SURFACE[world.version]
    for name, members in known["enums"].items():
        setattr(trt, name, enum.IntEnum(name, members))

    def asked(name: str) -> bool:
        return name not in world.refuse

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def __init__(self) -> None:
            self._ready = True

    class IProgressMonitor:
        def __init__(self) -> None:
            self._ready = True

    class IHostMemory:
        def __init__(self, data: bytes) -> None:
            self._data = data

        def __bytes__(self) -> bytes:
            return self._data

    class ParserError:
        def __init__(self, node: onnx.NodeProto, text: str) -> None:
            self._node, self._text = node, text

        def node_operator(self) -> str:
            return self._node.op_type

        def node_name(self) -> str:
            return self._node.name

        def desc(self) -> str:
            return self._text

    class INetworkDefinition:
        def __init__(self) -> None:
            self._model: onnx.ModelProto | None = None

    class OnnxParser:
        def __init__(self, network: Any, logger: Any) -> None:
            assert logger._ready
            self._network, self._errors, self._flags = network, [], []
            self.num_errors = 0

        def set_flag(self, flag: int) -> None:
            self._flags.append(flag)

        def parse(self, model: bytes, path: str | None = None) -> bool:
            graph = onnx.load_from_string(model)
            images = {value.name for value in graph.graph.input if value.type.tensor_type.elem_type == 2}
            for node in graph.graph.node:  # uint8 may only be cast
                if images.intersection(node.input) and node.op_type != "Cast":
                    self._errors.append(trt.ParserError(node, "uint8 is for the network's edges"))
                if f"operator {node.op_type}" in world.refuse:
                    self._errors.append(trt.ParserError(node, "no importer registered"))
            self.num_errors = len(self._errors)
            self._network._model = graph
            return not self._errors

        def get_error(self, index: int) -> Any:
            return self._errors[index]

    class ITimingCache:
        def __init__(self, data: bytes) -> None:
            self._data = data

        def serialize(self) -> Any:
            return trt.IHostMemory(self._data)

    class IOptimizationProfile:
        def set_shape(self, input: str, min: tuple, opt: tuple, max: tuple) -> None:
            assert input == "image"
            self._shapes = [tuple(min), tuple(opt), tuple(max)]

    class IBuilderConfig:
        def __init__(self) -> None:
            self._set = {trt.BuilderFlag.TF32}
            self._cache, self._profile = None, None
            self.builder_optimization_level = 3
            self.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
            self.hardware_compatibility_level = trt.HardwareCompatibilityLevel.NONE
            self.progress_monitor = None

        def set_flag(self, flag: Any) -> None:
            self._set.add(flag)

        def clear_flag(self, flag: Any) -> None:
            self._set.discard(flag)

        def get_flag(self, flag: Any) -> bool:
            return flag in self._set

        def add_optimization_profile(self, profile: Any) -> int:
            self._profile = profile
            return 0 if asked("add_optimization_profile") else -1

        def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
            world.timings_seen.append(serialized_timing_cache)
            return trt.ITimingCache(serialized_timing_cache)

        def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
            if cache._data.startswith(b"of another GPU"):
                return False
            self._cache = cache
            return True

        def get_timing_cache(self) -> Any:
            return self._cache if asked("get_timing_cache") else None

    class Builder:
        def __init__(self, logger: Any) -> None:
            self._log = logger
            if not asked("Builder"):
                logger.log(trt.ILogger.ERROR, "CUDA initialization failure with error: 35")
                raise TypeError("pybind11::init(): factory function returned nullptr")

        def create_network(self, flags: int = 0) -> Any:
            assert flags == 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            return trt.INetworkDefinition()

        def create_builder_config(self) -> Any:
            return trt.IBuilderConfig()

        def create_optimization_profile(self) -> Any:
            return trt.IOptimizationProfile()

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            monitor = config.progress_monitor
            monitor.phase_start("Building Engine", None, 4)
            for step in range(4):
                monitor.phase_start(f"part {step}", "Building Engine", 2)
                world.at_step(step)
                if not monitor.step_complete(f"part {step}", 0) or not asked("build_serialized_network"):
                    self._log.log(trt.ILogger.ERROR, "Error Code 10: could not find any implementation")
                    return None
                monitor.phase_finish(f"part {step}")
                monitor.step_complete("Building Engine", step)
            monitor.phase_finish("Building Engine")
            world.builds += 1
            config._cache._data += b"timed "
            about = {
                "detailed": config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED,
                "shapes": config._profile._shapes,
                "code": trt.BuilderFlag.VERSION_COMPATIBLE in config._set,
            }
            body = network._model.SerializeToString()
            return trt.IHostMemory(MARK + json.dumps(about).encode() + b"\n" + body + b" " * world.padding)

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.engine_host_code_allowed = False
            self._log = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            if not serialized_engine.startswith(MARK) or not asked("deserialize_cuda_engine"):
                self._log.log(trt.ILogger.ERROR, "Error Code 1: magic tag does not match")
                return None
            head, _, body = serialized_engine[len(MARK) :].partition(b"\n")
            about = json.loads(head)
            if about["code"] and not self.engine_host_code_allowed:
                self._log.log(trt.ILogger.ERROR, "host code is not allowed")
                return None
            return trt.ICudaEngine(about, onnx.load_from_string(body.rstrip(b" ")))

        def __del__(self) -> None:
            world.gpu.log.append("runtime")

    class ICudaEngine:
        def __init__(self, about: dict[str, Any], model: onnx.ModelProto) -> None:
            import onnxruntime

            self._about, self._model = about, model
            self._session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            self._names = [model.graph.input[0].name, model.graph.output[0].name]
            self.num_io_tensors = 2
            self.device_memory_size_v2 = 4096

        def get_tensor_name(self, index: int) -> str:
            return self._names[index]

        def get_tensor_mode(self, name: str) -> Any:
            return trt.TensorIOMode.INPUT if name == self._names[0] else trt.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            return trt.DataType.UINT8 if name == self._names[0] else trt.DataType.FLOAT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            graph = self._model.graph
            value = graph.input[0] if name == self._names[0] else graph.output[0]
            return (-1, *(side.dim_value for side in value.type.tensor_type.shape.dim[1:]))

        def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
            assert (name, profile_index) == (self._names[0], 0)  # of an output it would crash
            return [tuple(shape) for shape in self._about["shapes"]]

        def create_execution_context(self, strategy: Any) -> Any:
            return trt.IExecutionContext(self, strategy) if asked("create_execution_context") else None

        def create_engine_inspector(self) -> Any:
            return trt.EngineInspector(self)

        def __del__(self) -> None:
            world.gpu.log.append("engine")

    class IExecutionContext:
        def __init__(self, engine: Any, strategy: Any) -> None:
            self._engine, self._strategy = engine, strategy
            self._shape: tuple[int, ...] | None = None
            self._addresses: dict[str, int] = {}
            self._memory = strategy == trt.ExecutionContextAllocationStrategy.STATIC
            self.nvtx_verbosity = trt.ProfilingVerbosity.DETAILED

        def set_device_memory(self, memory: int, size: int) -> None:
            world.gpu.at(memory, size)
            self._memory = size >= self._engine.device_memory_size_v2

        def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
            return stream_handle in world.gpu.streams

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            low, _, high = self._engine._about["shapes"]
            self._shape = tuple(shape)
            return low[0] <= shape[0] <= high[0] and asked("set_input_shape")

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self._addresses[name] = memory
            return name in self._engine._names and asked("set_tensor_address")

        def infer_shapes(self) -> list[str]:
            return [] if self._shape else ["image"]

        def execute_async_v3(self, stream_handle: int) -> bool:
            if not asked("execute_async_v3"):
                return False
            assert self._memory
            (image, answer), shape = self._engine._names, self._shape
            source, target = self._addresses[image], self._addresses[answer]
            session = self._engine._session

            def work() -> None:
                size = int(np.prod(shape))
                world.gpu.at(source, size)
                pixels = np.frombuffer((ctypes.c_uint8 * size).from_address(source), np.uint8).reshape(shape)
                found = session.run(None, {image: pixels})[0] + np.float32(world.wrong)
                world.gpu.at(target, found.nbytes)
                ctypes.memmove(target, np.ascontiguousarray(found).ctypes.data, found.nbytes)

            world.gpu.streams[stream_handle].add(work)
            return True

        def __del__(self) -> None:
            world.gpu.log.append("context")

    class EngineInspector:
        def __init__(self, engine: Any) -> None:
            self._engine = engine
            self.execution_context = None

        def get_engine_information(self, format: Any) -> str:
            assert format == trt.LayerInformationFormat.JSON
            ready = self.execution_context is not None and self.execution_context._shape is not None
            return json.dumps(information(world, self._engine, shapes=ready))

    for name, behaviour in list(locals().items()):
        if inspect.isclass(behaviour) and name in known["classes"]:
            setattr(trt, name, build_class(name, behaviour, known["classes"][name]))
    return trt


def information(world: World, engine: Any, *, shapes: bool) -> dict[str, Any]:
    """What the inspector says, as TensorRT 10 or 11 writes it."""
    graph, old = engine._model.graph, world.generation < 11
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    layers: list[Any] = []
    for node in graph.node:
        if node.op_type not in {"Conv", "Gemm", "MatMul"}:
            continue
        kind = TYPES[stored[source.get(node.input[1], node.input[1])]]
        kind = "Float" if world.silent_fp32 else kind
        said = kind if shapes else "N/A due to dynamic shapes"
        tensor = {"Format/Datatype": said} if old else {"Datatype": said, "Format": "Linear"}
        layer = {
            "Name": node.name,
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": node.input[0], **tensor}],
            "Outputs": [{"Name": node.output[0], **tensor}],
        }
        layers.append(layer if engine._about["detailed"] else node.name)
    edges = engine._names
    return {"Layers": layers, **({"Bindings": edges} if old else {"I/O Tensors": [{"Name": name} for name in edges]})}


def install(world: World, patch: Any) -> ModuleType:
    """Put the fakes where `import tensorrt` and `cuda.bindings.runtime` find them; `patch` is pytest's monkeypatch."""
    import sys

    from tests.support.fakes import fake_cuda

    trt, cuda = make(world), fake_cuda.make(world.gpu)
    bindings = SimpleNamespace(runtime=cuda)
    patch.setitem(sys.modules, "tensorrt", trt)
    patch.setitem(sys.modules, "cuda", SimpleNamespace(bindings=bindings))
    patch.setitem(sys.modules, "cuda.bindings", bindings)
    patch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
    return trt
