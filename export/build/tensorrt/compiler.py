"""TensorRT's builder: one strongly typed network, one profile, one plan, and what the inspector says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from export.build.tensorrt.monitor import cancellable, monitor
from zoo.bundle.manifest import Input
from zoo.errors import EnvironmentProblem, InputError
from zoo.progress import Advance, note

# TensorRT's own default. 4 and 5 try more kernels and take several times longer for a few per cent.
OPTIMIZATION_LEVEL = 3


@dataclass(frozen=True)
class Options:
    """What may be chosen of a plan. `batch`: fewest images, the number it is fastest at, most."""

    batch: tuple[int, int, int] = (1, 8, 32)
    hardware_compatible: bool = False
    version_compatible: bool = False


@dataclass(frozen=True)
class Compiled:
    """A plan, the timings that its build has gathered, and the builder's settings as it reports them."""

    plan: bytes
    timings: bytes
    settings: dict[str, Any]


class Compiler:
    """TensorRT's builder for graphs with a bundle's signature."""

    def __init__(self, trt: Any, log: Any, image: Input) -> None:
        self._trt, self._log, self._image, self._side = trt, log, image.name, (image.height, image.width, 3)

    def compile(self, model: bytes, options: Options, timings: bytes, advance: Advance) -> Compiled:
        """Build a plan from an ONNX file's bytes; `advance` moves a bar whose total is 1. Ctrl-C stops it.

        Raises `InputError` with everything that the parser objects to, `EnvironmentProblem` when the build fails.
        """
        trt = self._trt
        try:
            builder = trt.Builder(self._log)
        except TypeError:  # pybind's words for a null pointer
            raise EnvironmentProblem(f"TensorRT cannot start here: {self._log.last or 'no usable GPU'}") from None
        # The numbers of flags differ between TensorRT 10 and 11: only names are ever written down.
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self._must(network is not None, "create a network")
        self._parse(network, model, options)
        config = self._config(builder, options)
        self._profile(builder, config, options)
        self._timings(config, timings)
        watcher = config.progress_monitor = monitor(trt, advance)  # TensorRT keeps no reference of its own

        def stop() -> None:
            watcher.cancelled = True

        plan = cancellable(lambda: builder.build_serialized_network(network, config), stop)
        self._must(plan is not None, "build the plan")
        cache = config.get_timing_cache()
        self._must(cache is not None, "give the timings back")
        return Compiled(bytes(plan), bytes(cache.serialize()), self._settings(config))

    def inspect(self, plan: bytes, options: Options) -> str:
        """The engine inspector's JSON of a plan, with the shapes of the profile's best batch set.

        Without shapes it would say "N/A due to dynamic shapes" where the types should be.
        """
        trt = self._trt
        runtime = trt.Runtime(self._log)
        runtime.engine_host_code_allowed = options.version_compatible
        engine = runtime.deserialize_cuda_engine(plan)
        self._must(engine is not None, "load the plan that it has just built")
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.STATIC)
        self._must(context is not None, "create an execution context")
        shape = (options.batch[1], *self._side)
        self._must(context.set_input_shape(self._image, shape), "take the profile's best batch")
        inspector = engine.create_engine_inspector()
        self._must(inspector is not None, "inspect the plan")
        inspector.execution_context = context
        text: str = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        del inspector, context, engine  # before the runtime
        return text

    def _parse(self, network: Any, model: bytes, options: Options) -> None:
        trt = self._trt
        parser = trt.OnnxParser(network, self._log)
        if options.version_compatible:  # the plan must not need a plugin library of one version
            parser.set_flag(trt.OnnxParserFlag.NATIVE_INSTANCENORM)
        if not parser.parse(model):
            failures = [parser.get_error(index) for index in range(parser.num_errors)]
            lines = [f"{failure.node_operator()} {failure.node_name()}: {failure.desc()}" for failure in failures]
            raise InputError(f"TensorRT cannot read the graph: {'; '.join(lines) or self._log.last}")

    def _config(self, builder: Any, options: Options) -> Any:
        trt = self._trt
        config = builder.create_builder_config()
        self._must(config is not None, "create a builder configuration")
        config.builder_optimization_level = OPTIMIZATION_LEVEL
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # or the inspector shows names alone
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default: fp32 would have 10 bits of mantissa
        if options.version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if options.hardware_compatible:
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        return config

    def _profile(self, builder: Any, config: Any, options: Options) -> None:
        profile = builder.create_optimization_profile()
        profile.set_shape(self._image, *((count, *self._side) for count in options.batch))
        self._must(config.add_optimization_profile(profile) >= 0, f"take the profile {options.batch}")

    def _timings(self, config: Any, timings: bytes) -> None:
        """Start from earlier timings where they fit, from none where TensorRT does not want them."""
        cache = config.create_timing_cache(timings)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            note(f"earlier timings do not fit and are measured again: {self._log.last}")
            cache = config.create_timing_cache(b"")
            self._must(config.set_timing_cache(cache, ignore_mismatch=False), "take an empty timing cache")

    def _settings(self, config: Any) -> dict[str, Any]:
        """What the builder says that it was told."""
        trt = self._trt
        return {
            "flags": sorted(name for name, flag in trt.BuilderFlag.__members__.items() if config.get_flag(flag)),
            "tf32": bool(config.get_flag(trt.BuilderFlag.TF32)),
            "hardware_compatibility": config.hardware_compatibility_level.name,
            "optimization_level": int(config.builder_optimization_level),
        }

    def _must(self, worked: bool, what: str) -> None:
        if not worked:
            raise EnvironmentProblem(f"TensorRT cannot {what}: {self._log.last or 'it does not say why'}")
