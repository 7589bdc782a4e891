"""`zoo build --backend tensorrt`: a plan for this GPU, proven to compute in the precision of its graph."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from export.build.install import check_batch, graph_entry, install, named
from export.build.request import Request
from export.build.tensorrt.compiler import OPTIMIZATION_LEVEL, Compiled, Compiler, Options
from export.build.tensorrt.proof import SHARE, Proof, prove
from export.build.tensorrt.timing_cache import timing_cache
from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision
from zoo.bundle.sidecar import Processor, Sidecar, engine_key
from zoo.engines.backend import Backend
from zoo.engines.cuda import this_gpu
from zoo.engines.precision import graph_of
from zoo.engines.tensorrt.backend import AMPERE_PLUS, VERSION_COMPATIBLE, TensorRt, library, logger, stale
from zoo.errors import InputError, VerdictError
from zoo.graphs.strong_types import problems
from zoo.progress import note, track

PLAN_RATIO = 0.65  # of the fp32 plan's size; half weights are 0.5 of it, and kernels and names take their part
REFERENCE: Precision = "fp32"
HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})  # the operators that do nearly all of the arithmetic
USUAL = Options()


def build(
    bundle: Bundle, precision: str = "fp16", options: Options = USUAL, *, plan_ratio: float = PLAN_RATIO
) -> tuple[Sidecar, bool]:
    """Build the plan of one graph into the bundle: its sidecar, and whether it had to be built.

    `precision`: fp32, fp16 or int8s (int8 means the latter here). For the reduced ones the fp32 plan is built as well,
    with the same options, if it is not there: theirs has to be at most `plan_ratio` of its size, and the convolutions
    and matrix products have to be proven. Raises `VerdictError` when they are not.
    """
    chosen = graph_of(bundle, "tensorrt", "int8s" if precision == "int8" else precision)
    check_batch(options.batch, bundle)
    limit = None
    if chosen != REFERENCE:
        graph_of(bundle, "tensorrt", REFERENCE)
        full, _ = install(bundle, _Maker(bundle, REFERENCE, options, None))
        limit = _Limit(full.artefact.bytes, plan_ratio)
    return install(bundle, _Maker(bundle, chosen, options, limit))


def build_requested(bundle: Bundle, request: Request) -> tuple[Sidecar, bool]:
    """What `zoo build --backend tensorrt` does."""
    options = Options(
        request.batch or USUAL.batch,
        hardware_compatible=request.hardware_compatible,
        version_compatible=request.version_compatible,
    )
    ratio = PLAN_RATIO if request.plan_ratio is None else request.plan_ratio
    return build(bundle, request.precision, options, plan_ratio=ratio)


@dataclass(frozen=True)
class _Limit:
    """The largest plan that is accepted."""

    bytes_of_fp32: int
    ratio: float


class _Maker:
    def __init__(self, bundle: Bundle, precision: Precision, options: Options, limit: _Limit | None) -> None:
        self._bundle, self._precision, self._options = bundle, precision, options
        self._limit = limit
        self._trt: Any = library()
        self._log = logger(self._trt)
        self._gpu: Processor = this_gpu()
        self._graph, self._entry = graph_entry(bundle, precision)

    @property
    def key(self) -> str:
        return engine_key("tensorrt", self._precision, self._gpu.name, self._trt.__version__)

    def fresh(self, existing: Sidecar) -> bool:
        settings, options = existing.settings, self._options
        chosen = (
            existing.batch,
            VERSION_COMPATIBLE in settings["flags"],
            settings["hardware_compatibility"] == AMPERE_PLUS,
            settings["optimization_level"],
        )
        wanted = (options.batch, options.version_compatible, options.hardware_compatible, OPTIMIZATION_LEVEL)
        same = existing.graph == self._entry and existing.precision == self._precision and chosen == wanted
        return same and stale(existing, self._gpu, self._trt.__version__) is None

    def make(self, folder: Path) -> Sidecar:
        model = onnx.load(self._graph)
        if objections := problems(model):
            raise InputError(f"TensorRT would refuse {self._graph.name}: {'; '.join(objections)}")
        heavy = frozenset(node.name for node in model.graph.node if node.op_type in HEAVY)
        compiler = Compiler(self._trt, self._log, self._bundle.manifest.input)
        title = f"TensorRT {self._precision} plan for {self._gpu.name}"
        with timing_cache(self._gpu, self._trt.__version__) as cache:
            with track(title, 1.0) as advance:
                compiled = compiler.compile(self._graph.read_bytes(), self._options, cache.data, advance)
            cache.keep(compiled.timings)
        proof = prove(compiler.inspect(compiled.plan, self._options), self._precision, heavy)
        self._judge(proof, len(compiled.plan))
        path = folder / "engine.plan"
        path.write_bytes(compiled.plan)
        return Sidecar(
            schema="zoo.engine/1",
            backend="tensorrt",
            precision=self._precision,
            device="cuda",
            graph=self._entry,
            artefact=named(path),
            library=self._trt.__version__,
            processor=self._gpu,
            batch=self._options.batch,
            settings=self._settings(compiled),
            proof=proof.as_dict() | self._sizes(len(compiled.plan)),
            selftest=None,
        )

    def open(self, folder: Path, about: Sidecar) -> Backend:
        return TensorRt(self._graph, precision=self._precision, device="cuda", threads=None, built=(folder, about))

    def _settings(self, compiled: Compiled) -> dict[str, Any]:
        return compiled.settings | {"timing_cache_sha256": hashlib.sha256(compiled.timings).hexdigest()}

    def _sizes(self, size: int) -> dict[str, Any]:
        if self._limit is None:
            return {}
        return {
            "plan_bytes_fp32": self._limit.bytes_of_fp32,
            "plan_ratio": size / self._limit.bytes_of_fp32,
            "plan_ratio_allowed": self._limit.ratio,
        }

    def _judge(self, proof: Proof, size: int) -> None:
        """Let the plan pass or raise `VerdictError`. An fp32 plan has nothing to prove."""
        if self._limit is None:
            note(f"{proof.proven} of {proof.layers} convolutions and matrix products are seen to be fp32")
            return
        wanted = SHARE
        if self._precision == "int8s":  # the graph itself may keep sensitive layers in a higher precision
            wanted *= self._bundle.manifest.graphs[self._precision].low_precision_share
        objections = proof.objections(wanted)
        ratio = size / self._limit.bytes_of_fp32
        if ratio > self._limit.ratio:
            objections.append(
                f"the plan has {size:,} bytes, {ratio:.2f} of the fp32 plan's {self._limit.bytes_of_fp32:,} "
                f"(at most {self._limit.ratio:g})"
            )
        if objections:
            raise VerdictError(f"{self._bundle.path}: the {self._precision} plan is not kept: {'; '.join(objections)}")
