"""`zoo build --backend aotinductor`: a package that torch has compiled for this machine, from the bundle's checkpoint.
With `aotinductor-fused`, layers are fused into the kernels of `export.build.fused` first; the rest is the same.

A bundle holds no torch module, so that the checkpoint it was exported from has to be given. That it is the one is
proven twice: by the hash that the manifest names, and by the self-test, whose outputs the network has to give before
it is compiled and the package afterwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import torch

from export.build.install import check_batch, graph_entry, install, named
from export.build.request import Request
from export.packing.fold import folded_with_signature
from export.packing.half import half
from zoo.bundle import selftest
from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Executed, Precision
from zoo.bundle.sidecar import Sidecar, engine_key
from zoo.engines.backend import Backend
from zoo.engines.precision import graph_of
from zoo.engines.torch.aotinductor import AotInductor, AotInductorFused, library, stale, this_processor
from zoo.engines.torch.network import Edges
from zoo.errors import EnvironmentProblem, InputError, missing_package
from zoo.files import sha256
from zoo.models import checkpoint
from zoo.models.evaluate import evaluate
from zoo.models.normalisation import Normalised
from zoo.progress import track
from zoo.quiet import quiet

BATCH = (1, 8, 32)
PLAIN = AotInductor.name
KINDS = {kind.name: kind for kind in (AotInductor, AotInductorFused)}
SETTINGS: dict[str, dict[str, Any]] = {
    # Left alone, the number of threads would be part of the compiled code, and `threads=` could not be kept.
    "cpu": {"cpp.dynamic_threads": True},
    # Every kernel that could compute a layer is timed, and the best one's tiles are tuned.
    "cuda": {"max_autotune": True, "coordinate_descent_tuning": True},
}


def build(
    bundle: Bundle,
    source: Path,
    precision: str = "fp32",
    *,
    device: str = "cpu",
    batch: tuple[int, int, int] = BATCH,
    backend: str = PLAIN,
) -> tuple[Sidecar, bool]:
    """Compile the checkpoint `source` into the bundle: the package's sidecar, and whether it had to be built.

    `precision`: fp32; bf16, an execution of the fp32 graph; fp16 on a GPU. `backend`: aotinductor or aotinductor-fused.
    Raises `InputError` when the checkpoint is not the one of the bundle and when nothing in it can be fused,
    `EnvironmentProblem` when torch's compiler does not work here (it needs a C++ compiler).
    """
    builds = KINDS[backend].builder.precisions
    there = next((names for kind, names in builds.items() if kind == device), None)
    if there is None:
        raise InputError(f"{backend} builds for {' and '.join(builds)}, not for device '{device}'")
    chosen = next((name for name in there if name == precision), None)
    if chosen is None:
        raise InputError(f"{backend} builds {', '.join(there)} for {device}, not {precision}")
    check_batch(batch, bundle)
    path = checkpoint.find(source)
    known = bundle.manifest.provenance.get("checkpoint_sha256")
    if known is not None and known != sha256(path):
        raise InputError(f"{path} is not the checkpoint that {bundle.path} was exported from")
    graph = graph_of(bundle, backend, precision)
    return install(bundle, _Maker(bundle, path, chosen, graph, device, batch, backend))


def build_requested(bundle: Bundle, request: Request) -> tuple[Sidecar, bool]:
    """What `zoo build --backend aotinductor` and `aotinductor-fused` do."""
    if request.checkpoint is None:
        raise InputError(f"{request.backend} compiles the torch network: --checkpoint names the folder of its training")
    return build(
        bundle,
        request.checkpoint,
        request.precision,
        device=request.device,
        batch=request.batch or BATCH,
        backend=request.backend,
    )


def settings_of(backend: str, device: str) -> dict[str, Any]:
    """What a package is built with, for its sidecar: when it changes, the package is built anew."""
    if backend == PLAIN:
        return SETTINGS[device]
    from export.build.fused import fingerprint

    return {"kernels": fingerprint()}  # theirs are the tiles that are not left to the compiler


class _Maker:
    def __init__(
        self,
        bundle: Bundle,
        source: Path,
        precision: Executed,
        graph: Precision,
        device: str,
        batch: tuple[int, int, int],
        backend: str,
    ) -> None:
        self._bundle, self._source, self._precision, self._device = bundle, source, precision, device
        self._batch, self._backend = batch, backend
        self._settings = settings_of(backend, device)
        self._here = this_processor(device)
        self._graph, self._entry = graph_entry(bundle, graph)

    @property
    def key(self) -> str:
        return engine_key(self._backend, self._precision, self._here.name, self._here.kind, torch.__version__)

    def fresh(self, existing: Sidecar) -> bool:
        mine = self._entry, self._batch, self._device, self._settings
        same = (existing.graph, existing.batch, existing.device, existing.settings) == mine
        return same and stale(existing, self._here, torch.__version__) is None

    def make(self, folder: Path) -> Sidecar:
        module = self._ready(self._in_precision(folded_with_signature(self._network())))
        path = folder / "model.pt2"
        with track(f"compiling for {self._here.name}", 1.0) as advance:
            self._compile(module.to(memory_format=torch.channels_last).to(self._device), path)
            advance()
        return Sidecar(
            schema="zoo.engine/1",
            backend=self._backend,
            precision=self._precision,
            device=cast("Literal['cpu', 'cuda']", self._device),
            graph=self._entry,
            artefact=named(path),
            library=torch.__version__,
            processor=self._here,
            batch=self._batch,
            settings=self._settings,
            proof=None,
            selftest=None,
        )

    def open(self, folder: Path, about: Sidecar) -> Backend:
        return KINDS[self._backend](
            self._graph, precision=self._precision, device=self._device, threads=None, built=(folder, about)
        )

    def _network(self) -> Normalised:
        """The network of the checkpoint, proven to be the bundle's."""
        network, _ = checkpoint.load(self._source)
        vectors = self._bundle.selftest()
        if "fp32" in vectors:
            outputs = evaluate(network, torch.from_numpy(vectors["image"])).numpy()
            if not selftest.compare(self._bundle, "fp32", outputs, vectors).passed:
                raise InputError(f"{self._source} is another network: it answers the bundle's self-test differently")
        return network

    def _in_precision(self, network: Normalised) -> Normalised:
        if self._precision == "bf16":  # it has the range of fp32, so that no layer has to be kept
            return network.around(Edges(network.network, torch.bfloat16))
        return self._half(network) if self._precision == "fp16" else network

    def _ready(self, network: Normalised) -> torch.nn.Module:
        """What is compiled: uint8 [N, H, W, 3] -> outputs."""
        if self._backend == PLAIN:
            return network
        try:
            from export.build.fused.rewrite import rewritten
        except ImportError as error:  # torch's builds for a GPU bring it along
            raise missing_package(str(error.name), "train,export", "fusing layers") from None
        return rewritten(network.network, network.mean, network.std)

    def _half(self, network: Normalised) -> Normalised:
        """The fp16 form, with the same layers in fp32 as in the bundle's graph; the ranges here are the self-test's."""
        form = half(network, self._bundle.selftest()["image"])
        kept = self._bundle.manifest.graphs["fp16"].kept
        if form.kept.keys() != kept.keys():
            raise InputError(f"the fp16 graph keeps {', '.join(kept)} in fp32, which cannot be repeated: build fp32")
        return form.network

    def _compile(self, module: torch.nn.Module, path: Path) -> None:
        image = self._bundle.manifest.input
        _, best, most = self._batch
        example = torch.zeros(max(2, best), image.height, image.width, 3, dtype=torch.uint8, device=self._device)
        count = torch.export.Dim("batch", min=1, max=max(2, most))
        try:
            settings = SETTINGS[self._device] if self._backend == PLAIN else {}
            # Torch warns that it finds no CUDA toolkit, also where nothing is compiled for a GPU.
            with torch.no_grad(), quiet("torch.utils.cpp_extension"):
                program = torch.export.export(module, (example,), dynamic_shapes=({0: count},))
                library()._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=settings)
        except Exception as error:  # the exporter, the compiler and g++ each raise their own
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise EnvironmentProblem(f"torch cannot compile {self._bundle.manifest.name} here: {reason}") from error
