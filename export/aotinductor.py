"""`zoo build --backend aotinductor`: a package that torch has compiled for this machine, from the bundle's checkpoint.

A bundle holds no torch module, so that the checkpoint it was exported from has to be given. That it is the one is
proven twice: by the hash that the manifest names, and by the self-test, whose answers the network has to give before
it is compiled and the package afterwards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch

from export.fold import folded_face
from export.half import half
from export.install import check_batch, graph_entry, install, named
from zoo.engines import selftest
from zoo.engines.aotinductor import AotInductor, library, stale, this_processor
from zoo.engines.backend import Backend
from zoo.engines.bundle import Bundle
from zoo.engines.manifest import Precision
from zoo.engines.precision import graph_of
from zoo.engines.sidecar import Sidecar, engine_key
from zoo.errors import EnvironmentProblem, InputError
from zoo.files import sha256
from zoo.learn import checkpoint
from zoo.learn.networks import Normalised, evaluate
from zoo.progress import track

BATCH = (1, 8, 32)
# Left alone, the number of threads would be part of the compiled code, and `threads=` could not be kept.
SETTINGS: dict[str, Any] = {"cpp.dynamic_threads": True}


def build(
    bundle: Bundle, source: Path, precision: str = "fp32", *, device: str = "cpu", batch: tuple[int, int, int] = BATCH
) -> tuple[Sidecar, bool]:
    """Compile the checkpoint `source` into the bundle: the package's sidecar, and whether it had to be built.

    `precision`: fp32, or fp16 on a GPU. Raises `InputError` when the checkpoint is not the one of the bundle,
    `EnvironmentProblem` when torch's compiler does not work here (it needs a C++ compiler).
    """
    if precision not in {"fp32", "fp16"} or (precision, device) == ("fp16", "cpu"):
        raise InputError(f"aotinductor builds fp32, and fp16 for cuda, not {precision} for {device}")
    check_batch(batch, bundle)
    path = checkpoint.find(source)
    known = bundle.manifest.provenance.get("checkpoint_sha256")
    if known is not None and known != sha256(path):
        raise InputError(f"{path} is not the checkpoint that {bundle.path} was exported from")
    chosen = graph_of(bundle, "aotinductor", precision)
    return install(bundle, _Maker(bundle, path, chosen, device, batch))


class _Maker:
    def __init__(
        self, bundle: Bundle, source: Path, precision: Precision, device: str, batch: tuple[int, int, int]
    ) -> None:
        self._bundle, self._source, self._precision, self._device = bundle, source, precision, device
        self._batch = batch
        self._here = this_processor(device)
        self._graph, self._entry = graph_entry(bundle, precision)

    @property
    def key(self) -> str:
        return engine_key("aotinductor", self._precision, self._here.name, self._here.kind, torch.__version__)

    def fresh(self, existing: Sidecar) -> bool:
        same = existing.graph == self._entry and existing.batch == self._batch and existing.device == self._device
        return same and stale(existing, self._here, torch.__version__) is None

    def make(self, folder: Path) -> Sidecar:
        network = folded_face(self._network())
        module = self._half(network) if self._precision == "fp16" else network
        path = folder / "model.pt2"
        with track(f"compiling for {self._here.name}", 1.0) as advance:
            self._compile(module.to(self._device), path)
            advance()
        return Sidecar(
            schema="zoo.engine/1",
            backend="aotinductor",
            precision=self._precision,
            device=cast("Literal['cpu', 'cuda']", self._device),
            graph=self._entry,
            artefact=named(path),
            library=torch.__version__,
            processor=self._here,
            batch=self._batch,
            settings=SETTINGS,
            proof=None,
            selftest=None,
        )

    def open(self, folder: Path, about: Sidecar) -> Backend:
        return AotInductor(
            self._graph, precision=self._precision, device=self._device, threads=None, built=(folder, about)
        )

    def _network(self) -> Normalised:
        """The network of the checkpoint, proven to be the bundle's."""
        network, _ = checkpoint.load(self._source)
        vectors = self._bundle.selftest()
        if "fp32" in vectors:
            answers = evaluate(network, torch.from_numpy(vectors["image"])).numpy()
            if not selftest.compare(self._bundle, "fp32", answers, vectors).passed:
                raise InputError(f"{self._source} is another network: it answers the bundle's self-test differently")
        return network

    def _half(self, network: Normalised) -> Normalised:
        """The fp16 form, with the same layers in fp32 as in the bundle's graph; the ranges here are the self-test's."""
        form = half(network, self._bundle.selftest()["image"])
        kept = self._bundle.manifest.graphs[self._precision].kept
        if form.kept.keys() != kept.keys():
            raise InputError(f"the fp16 graph keeps {', '.join(kept)} in fp32, which cannot be repeated: build fp32")
        return form.network

    def _compile(self, module: torch.nn.Module, path: Path) -> None:
        face = self._bundle.manifest.input
        _, best, most = self._batch
        example = torch.zeros(max(2, best), face.height, face.width, 3, dtype=torch.uint8, device=self._device)
        count = torch.export.Dim("batch", min=1, max=max(2, most))
        try:
            with torch.no_grad(), _quiet():
                program = torch.export.export(module, (example,), dynamic_shapes=({0: count},))
                library()._inductor.aoti_compile_and_package(program, package_path=str(path), inductor_configs=SETTINGS)
        except Exception as error:  # the exporter, the compiler and g++ each raise their own
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise EnvironmentProblem(f"torch cannot compile {self._bundle.manifest.name} here: {reason}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch warns that it finds no CUDA toolkit, also where nothing is compiled for a GPU."""
    logger = logging.getLogger("torch.utils.cpp_extension")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
