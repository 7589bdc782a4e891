"""TensorRT as a backend: runs the plan that `zoo build` made of a graph. TensorRT 10.12 to 11, torch-free."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.bundle import sidecar
from zoo.bundle.sidecar import Processor, Sidecar
from zoo.engines.backend import Backend, Builder, Logits, Pixels, in_batches
from zoo.engines.cuda import CudaStream, this_gpu
from zoo.engines.cuda_lane import CudaLane
from zoo.engines.tensorrt.plan import Plan
from zoo.errors import EnvironmentProblem, InputError

OLDEST, TOO_NEW = (10, 12), (12,)
VERSION_COMPATIBLE, AMPERE_PLUS = "VERSION_COMPATIBLE", "AMPERE_PLUS"  # as the sidecar names them
AMPERE = (8, 0)  # the oldest compute capability that a hardware-compatible plan runs on


class TensorRt(Backend):
    """One plan on the first GPU. Callers wait for each other: a GPU computes one batch at a time anyway."""

    name, library, extra = "tensorrt", "tensorrt", "tensorrt"
    devices = ("cuda",)
    # int8s has signed activations, as TensorRT wants them.
    usual = MappingProxyType({"cuda": ("fp32", "fp16", "int8s")})
    replays = "always"
    in_libzoo = True
    builder = Builder(
        maker="export.build.tensorrt.build:build_requested",
        precisions=MappingProxyType({"cuda": ("fp16", "int8", "fp32")}),
        synonyms=("int8s",),  # of int8, which here means the graph with signed activations
        options=("hardware_compatible", "version_compatible", "plan_ratio"),
        extra="export,tensorrt",
    )
    threads = 1  # the host only launches
    cuda_graph = True  # one for each batch size, captured when it first comes

    def __init__(
        self,
        graph: Path,
        *,
        precision: str,
        device: str,
        threads: int | None,
        built: tuple[Path, Sidecar] | None = None,
    ) -> None:
        """`built`: folder and sidecar of an engine that is not yet in its place beside the graph."""
        if device != "cuda":
            raise InputError(f"tensorrt runs on device 'cuda', not on '{device}'")
        if threads not in {None, 1}:
            raise InputError(f"tensorrt computes on the GPU, driven by 1 thread, not by {threads}")
        if precision == "int8":
            raise InputError("TensorRT reads the graph with signed activations: ask for precision 'int8s'")
        trt = library()
        gpu = this_gpu()

        def misfit(candidate: Sidecar) -> str | None:
            return stale(candidate, gpu, trt.__version__)

        folder, self.about = built or sidecar.find(
            graph, backend=self.name, precision=precision, device=device, misfit=misfit
        )
        self.device = device
        plan = sidecar.artefact(folder, self.about).read_bytes()
        self._log = logger(trt)  # TensorRT keeps a bare pointer to it
        with ExitStack() as stack:
            stream = CudaStream(0, stack)
            host_code = VERSION_COMPATIBLE in self.about.settings["flags"]
            self._plan = Plan(trt, self._log, plan, stream, stack, host_code=host_code)
            self._lane = CudaLane(stream, self._plan, stack)
        self._version = trt.__version__

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out. More than the profile takes go in several batches."""
        return in_batches(self._lane.run, images, self._plan.batch[2])

    def compute_seconds(self, images: Pixels, times: int, before: Callable[[], object] | None = None) -> list[float]:
        """See `Timed`. `InputError` for more images than the plan takes at a time."""
        if len(images) > self._plan.batch[2]:
            raise InputError(f"the plan takes {self._plan.batch[2]} images at a time, not {len(images)}")
        return self._lane.compute_seconds(images, times, before)

    def close(self) -> None:
        """Give the GPU's memory back now. The engine cannot be used afterwards."""
        self._lane.close()

    def versions(self) -> dict[str, Any]:
        """TensorRT's version, the GPU, and what was proven of the plan's precision."""
        return {
            "tensorrt": self._version,
            "gpu": self.about.processor.name,
            "batch": list(self.about.batch),
            "flags": self.about.settings["flags"],
            "proof": self.about.proof,
        }


def library() -> Any:
    """The module `tensorrt`, in a version that this project knows."""
    try:
        import tensorrt
    except ImportError:
        raise TensorRt.missing() from None
    if not OLDEST <= version(tensorrt.__version__) < TOO_NEW:
        raise EnvironmentProblem(f"TensorRT {tensorrt.__version__} is not known here: install >= 10.12, < 12")
    return tensorrt


def version(text: str) -> tuple[int, ...]:
    """`11.4.0.106` as numbers that can be compared."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def stale(built: Sidecar, gpu: Processor, tensorrt: str) -> str | None:
    """Why the engine does not fit this machine, or None. TensorRT has no such check that comes before loading."""
    settings, then = built.settings, built.processor
    if VERSION_COMPATIBLE in settings["flags"]:
        if version(tensorrt) < version(built.library):
            return f"it was built by TensorRT {built.library}, and {tensorrt} is older"
    elif tensorrt != built.library:
        return f"it was built by TensorRT {built.library}, here is {tensorrt}"
    if settings["hardware_compatibility"] == AMPERE_PLUS:
        if version(gpu.kind) < AMPERE:
            return f"it needs compute capability 8.0, the {gpu.name} has {gpu.kind}"
    elif (gpu.name, gpu.kind) != (then.name, then.kind):
        return f"it was built for {then.name} (compute capability {then.kind}), here is {gpu.name} ({gpu.kind})"
    if version(gpu.driver or "") < version(then.driver or ""):
        return f"it was built with a driver for CUDA {then.driver}, the one here is older: {gpu.driver}"
    return None


def logger(trt: Any) -> Any:
    """TensorRT's logger that writes to `logging` as `zoo.tensorrt`; `last` is its latest complaint."""
    log = logging.getLogger("zoo.tensorrt")
    levels = {
        trt.ILogger.INTERNAL_ERROR: logging.CRITICAL,
        trt.ILogger.ERROR: logging.ERROR,
        trt.ILogger.WARNING: logging.WARNING,
        trt.ILogger.INFO: logging.INFO,
        trt.ILogger.VERBOSE: logging.DEBUG,
    }

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.last = ""

        def log(self, severity: Any, msg: str) -> None:
            level = levels.get(severity, logging.ERROR)
            if level >= logging.ERROR:
                self.last = msg.strip()
            log.log(level, "%s", msg)

    return Log()
