"""`zoo build --backend onnxruntime-winograd`: the bundle's int8 graph with operators of our own in it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import onnx

from export.build.install import check_batch, graph_entry, install, named
from export.build.request import Request
from export.build.winograd import fingerprint
from export.build.winograd.rewrite import rewritten
from zoo.bundle.bundle import Bundle
from zoo.bundle.sidecar import Sidecar, engine_key
from zoo.engines.backend import Backend
from zoo.engines.onnxruntime.session import library
from zoo.engines.onnxruntime.winograd import NAME, OPS, PROCESSOR, OnnxRuntimeWinograd, misfit
from zoo.engines.precision import graph_of
from zoo.graphs.model import to_bytes
from zoo.preprocess.libzoo import ops_library_path
from zoo.progress import note

BEST = 8  # images at once
PRECISION: Literal["int8"] = "int8"
DEVICE: Literal["cpu"] = "cpu"


def build(bundle: Bundle, batch: tuple[int, int, int] | None = None) -> tuple[Sidecar, bool]:
    """Rewrite the int8 graph into the bundle: the engine's sidecar, and whether it had to be built.

    `batch`: fewest, best and most images; the operators take any number, so that what is left out is what the bundle
    takes. Raises `InputError` where too little of the graph could be replaced, `EnvironmentProblem` where the library
    of the operators is missing.
    """
    most = bundle.manifest.input.max_batch
    batch = batch or (1, min(BEST, most), most)
    check_batch(batch, bundle)
    graph_of(bundle, NAME, PRECISION)  # raises where there is none
    ops_library_path()
    return install(bundle, _Maker(bundle, batch))


def build_requested(bundle: Bundle, request: Request) -> tuple[Sidecar, bool]:
    """What `zoo build --backend onnxruntime-winograd` does."""
    return build(bundle, request.batch)


class _Maker:
    def __init__(self, bundle: Bundle, batch: tuple[int, int, int]) -> None:
        self._bundle, self._batch = bundle, batch
        self._graph, self._entry = graph_entry(bundle, PRECISION)
        self._settings = {"operators": OPS, "rewrite": fingerprint()}

    @property
    def key(self) -> str:
        return engine_key(NAME, PRECISION, PROCESSOR.kind)

    def fresh(self, existing: Sidecar) -> bool:
        same = (existing.graph, existing.batch, existing.settings) == (self._entry, self._batch, self._settings)
        return same and misfit(existing) is None

    def make(self, folder: Path) -> Sidecar:
        model, share = rewritten(onnx.load(self._graph))
        path = folder / "model.onnx"
        path.write_bytes(to_bytes(model))
        note(f"{100 * share:.0f} % of the convolutions' multiplications are done by operators of our own")
        return Sidecar(
            schema="zoo.engine/1",
            backend=NAME,
            precision=PRECISION,
            device=DEVICE,
            graph=self._entry,
            artefact=named(path),
            library=library().__version__,
            processor=PROCESSOR,
            batch=self._batch,
            settings=self._settings,
            proof=None,
            selftest=None,
        )

    def open(self, folder: Path, about: Sidecar) -> Backend:
        return OnnxRuntimeWinograd(self._graph, precision=PRECISION, device=DEVICE, threads=None, built=(folder, about))
