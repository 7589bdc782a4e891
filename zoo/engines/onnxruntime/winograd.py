"""ONNX Runtime with convolutions of our own as a backend: runs the graph that `zoo build` rewrote the int8 graph into.

The operators are those of `libzoo_ops.so`, domain `zoo.int8`: they keep activations as uint8 NHWC from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.bundle import sidecar
from zoo.bundle.sidecar import Processor, Sidecar
from zoo.engines.backend import Backend, Builder, Logits, Pixels, in_batches
from zoo.engines.layers import LayerTime, profile_onnxruntime
from zoo.engines.onnxruntime.session import CPU, as_function, library, open_session, session_options
from zoo.errors import EnvironmentProblem, InputError, first_line
from zoo.machine import cores
from zoo.preprocess.libzoo import ops_library_path

NAME = "onnxruntime-winograd"
OPS = 1  # the operators' contract: inputs, attributes and arithmetic, as graph and library have to agree on them
# The graph itself is the same for all machines. The library chooses among its kernels when it is loaded: those for AVX2
# and FMA, or scalar code where they are missing, which gives the same bits and is slow. The name is what is fast.
PROCESSOR = Processor(name="x86-64 with AVX2", kind="x86-64-avx2", driver=None)


class OnnxRuntimeWinograd(Backend):
    """One inference session with our operators. `Session.run` is thread-safe, and so are they."""

    name, library = NAME, "onnxruntime"
    devices = ("cpu",)
    graphs = ("int8",)
    in_libzoo = True
    builder = Builder(
        maker="export.build.winograd.build:build_requested", precisions=MappingProxyType({"cpu": ("int8",)})
    )
    layer_times: Callable[[Pixels, int], list[LayerTime]]

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
        if device != "cpu":
            raise InputError(f"{NAME} has no device '{device}'; there is: cpu")
        operators = ops_library_path()
        folder, self.about = built or sidecar.find(
            graph, backend=NAME, precision=precision, device=device, misfit=misfit
        )
        rewritten = sidecar.artefact(folder, self.about)
        self.device, self.threads = device, threads or cores()
        options = session_options(self.threads)
        try:
            options.register_custom_ops_library(str(operators))
        except Exception as error:  # whatever the loader or the library says
            raise EnvironmentProblem(f"onnxruntime cannot load {operators}: {first_line(error)}") from error
        session = open_session(rewritten, options, CPU, {})
        self._run = as_function(session)
        self.layer_times = partial(profile_onnxruntime, session, rewritten, operators=operators)

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out. More than it was built for go in several batches."""
        return in_batches(self._run, images, self.about.batch[2])

    def versions(self) -> dict[str, Any]:
        """ONNX Runtime's version, the version that the graph was tested with when it was built, and the operators'."""
        return {"onnxruntime": library().__version__, "built_with": self.about.library, "operators": OPS}


def misfit(engine: Sidecar) -> str | None:
    """Why the engine does not fit this installation, or None. Any version of ONNX Runtime runs it."""
    if engine.processor.kind != PROCESSOR.kind:
        return f"it was built for {engine.processor.name} ({engine.processor.kind}), here is {PROCESSOR.name}"
    version = engine.settings.get("operators")
    if version != OPS:
        return f"it was built for version {version} of the operators, here is {OPS}"
    return None
