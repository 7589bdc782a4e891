"""From a trained network to a bundle: graphs, proof, self-test, model card. Nothing is packed that did not pass."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from export.packing.card import card
from export.packing.onnx import MAX_BATCH
from export.packing.parity import Floats, compare, gates, objections
from export.packing.quantise.quantize import FLAVOURS
from export.packing.quantise.sensitive import Choice, attempts
from export.packing.source import Source
from zoo.bundle.bundle import MANIFEST
from zoo.bundle.manifest import (
    Accuracy,
    Calibration,
    FileEntry,
    Gate,
    Graph,
    Input,
    Manifest,
    Output,
    Parity,
    Precision,
    SelfTest,
)
from zoo.bundle.signature import signer
from zoo.engines.registry import backend_class
from zoo.errors import InputError, VerdictError
from zoo.files import atomic_folder, sha256
from zoo.graphs.model import count, opset, to_bytes, weights
from zoo.graphs.qdq import stranded
from zoo.graphs.strong_types import problems
from zoo.preprocess import Pixels, Preprocessing
from zoo.progress import note, track
from zoo.tasks.task import Task

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")  # int8s is TensorRT's alone: when it is asked for
SELFTEST_IMAGES = 8
# Largest accepted difference of a self-test output, as a share of the largest logit: other CPUs sum in another order,
# and in int8 another runtime may round each activation by a step.
SELFTEST_TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 1e-1, "int8s": 1e-1}
STORED: dict[Precision, int] = {
    "fp32": onnx.TensorProto.FLOAT,
    "fp16": onnx.TensorProto.FLOAT16,
    "int8": onnx.TensorProto.INT8,
    "int8s": onnx.TensorProto.INT8,
}


@dataclass(frozen=True)
class Evidence:
    """Real images, uint8 [N, H, W, 3]: some of the training set to calibrate on, and the test set, with its `targets`,
    that every graph is held to. `calibration_targets` lets `auto` choose by the metric; without them the decisions of
    the fp32 graph stand in.
    """

    calibration: Pixels
    test: Pixels
    targets: npt.NDArray[Any]
    split: str = "test"
    calibration_targets: npt.NDArray[Any] | None = None


@dataclass(frozen=True)
class Options:
    """How graphs are made and judged. `opset`: None takes the exporter's usual one, or an ONNX file's own. `thresholds`
    replaces some of `export.packing.parity.THRESHOLDS`; None leaves one. `sign`: the private key
    (`zoo.bundle.signature`) that signs the bundle.
    """

    opset: int | None = None
    max_batch: int = MAX_BATCH
    method: Choice = "minmax"
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    sign: Path | None = None


@dataclass(frozen=True)
class _Proven:
    facts: Graph
    parity: Parity
    accuracy: float
    answers: Floats


def pack_source(
    source: Source,
    out: Path,
    *,
    name: str,
    task: Task,
    preprocessing: Preprocessing,
    evidence: Evidence,
    provenance: dict[str, Any],
    precisions: Sequence[Precision] = PRECISIONS,
    options: Options | None = None,
) -> Manifest:
    """Write the bundle `out` (a folder that ends in .zoo) with a graph for each precision, and return its manifest.

    Raises `VerdictError` when a graph fails its gate; then nothing is written and a bundle that was there before stays.
    """
    options = options or Options()
    if out.suffix != ".zoo":
        raise InputError(f"a bundle's name ends in .zoo: {out}")
    _check(evidence, preprocessing)
    sign = None if options.sign is None else signer(options.sign)  # a wrong key shows before the work
    with track(f"exporting {name}", 1 + len(precisions)) as advance, atomic_folder(out) as folder:
        trial = _Trial(source, folder, name, task, evidence, options)
        advance()
        proven = {}
        for precision in precisions:
            proven[precision] = trial.prove(precision)
            advance()
        if "fp32" not in proven:
            (folder / "model.fp32.onnx").unlink()
        (folder / "labels.json").write_text(json.dumps(list(task.labels), ensure_ascii=False) + "\n", encoding="utf-8")
        tolerance = _write_selftest(folder / "selftest.safetensors", evidence, proven)
        manifest = Manifest(
            name=name,
            task=task.name,
            input=Input(
                height=preprocessing.height,
                width=preprocessing.width,
                resize=preprocessing.resize,
                max_batch=options.max_batch,
            ),
            output=Output(name=task.output, size=task.outputs),
            labels="labels.json",
            graphs={precision: entry.facts for precision, entry in proven.items()},
            parity={precision: entry.parity for precision, entry in proven.items()},
            gates={precision: trial.gates[precision] for precision in proven},
            accuracy=Accuracy(
                metric=task.metric,
                split=evidence.split,
                images=len(evidence.test),
                torch=trial.score,
                graphs={precision: entry.accuracy for precision, entry in proven.items()},
            ),
            selftest=SelfTest(file="selftest.safetensors", images=_selftest_images(evidence), tolerance=tolerance),
            cost=source.cost(),
            provenance=provenance | {"source": source.title, "tools": _tools()},
            files={},
        )
        (folder / "README.md").write_text(card(manifest, task), encoding="utf-8")
        files = {
            path.name: FileEntry(sha256=sha256(path), bytes=path.stat().st_size) for path in sorted(folder.iterdir())
        }
        manifest = manifest.model_copy(update={"files": files})
        (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        if sign is not None:
            sign(folder)
    return manifest


class _Trial:
    """Makes the graphs of a source and holds each to its gate."""

    def __init__(
        self, source: Source, folder: Path, name: str, task: Task, evidence: Evidence, options: Options
    ) -> None:
        self.source, self.folder, self.name, self.task = source, folder, name, task
        self.evidence, self.options = evidence, options
        self.gates: dict[Precision, Gate] = gates(task, options.thresholds)
        self.reference = source.answer(evidence.test)
        if self.reference.shape != (len(evidence.test), task.outputs):
            shape = list(self.reference.shape[1:])
            raise InputError(
                f"{name} answers with {shape} numbers for each image, and the labels ask for {task.outputs}"
            )
        if not np.isfinite(self.reference).all():
            raise VerdictError(f"{name} answers with numbers that are not finite, before it is exported")
        self.score = task.score(self.reference, evidence.targets)[task.metric]
        self._fp32 = source.fp32()
        # Also where it is not asked for: int8 graphs are made from it, and their own gate looks at the metric alone.
        self._plain = self._passed(self._fp32, "fp32", {})

    def prove(self, precision: Precision) -> _Proven:
        """One graph, written into the folder. Raises `VerdictError` when it fails."""
        if precision == "fp32":
            return self._plain
        if precision in FLAVOURS:
            return self._quantised(precision)
        model, kept = self.source.fp16(self.evidence.calibration)
        return self._passed(model, precision, kept)

    def _passed(self, model: onnx.ModelProto, precision: Precision, kept: dict[str, str]) -> _Proven:
        proven, failures = self._judge(model, precision, kept, None)
        if failures:
            raise self._failed(precision, failures)
        return proven

    def _quantised(self, precision: Precision) -> _Proven:
        """The first int8 graph that passes: everything in int8, or else more and more sensitive layers in fp32."""
        evidence, tried = self.evidence, 0
        failures: list[str] = []
        for attempt in attempts(
            self._fp32,
            FLAVOURS[precision],
            evidence.calibration,
            choice=self.options.method,
            answers=answers_of,
            task=self.task,
            targets=evidence.calibration_targets,
        ):
            facts = Calibration(images=len(evidence.calibration), method=attempt.method, tried=attempt.tried)
            proven, failures = self._judge(attempt.model, precision, attempt.kept, facts)
            if not failures:
                if attempt.kept:
                    note(f"{self.name}: {precision} keeps {', '.join(attempt.kept)} in fp32")
                return proven
            tried = len(attempt.kept)
        also = [f"also with its {tried} most sensitive layers in fp32"] if tried else []
        raise self._failed(precision, failures + also)

    def _failed(self, precision: str, failures: list[str]) -> VerdictError:
        return VerdictError(f"{self.name}: the {precision} graph is not packed: {'; '.join(failures)}")

    def _judge(
        self, model: onnx.ModelProto, precision: Precision, kept: dict[str, str], calibration: Calibration | None
    ) -> tuple[_Proven, list[str]]:
        onnx.helper.set_model_props(model, {"zoo.model": self.name, "zoo.precision": precision})
        path = self.folder / f"model.{precision}.onnx"
        path.write_bytes(to_bytes(model))
        answers = _run(path, precision, self.evidence.test)
        parity = compare(answers, self.reference, self.task)
        scored = parity.max_abs < np.inf
        accuracy = self.task.score(answers, self.evidence.targets)[self.task.metric] if scored else float("nan")
        stored = [tensor.data_type for tensor in weights(model).values()]
        low = sum(kind == STORED[precision] for kind in stored)
        facts = Graph(
            file=path.name,
            opset=opset(model),
            nodes=len(model.graph.node),
            casts=count(model, "Cast"),
            weighted=len(stored),
            low_precision_share=low / max(len(stored), 1),
            kept=kept,
            refused=problems(model) if precision != "int8" else [],  # int8 is for CPUs, and unsigned throughout
            calibration=calibration,
        )
        failures = objections(self.gates[precision], parity, self.task, self.score, accuracy)
        failures += self._structure(facts, model, precision, len(stored) - low)
        return _Proven(facts, parity, accuracy, answers), failures

    def _structure(self, facts: Graph, model: onnx.ModelProto, precision: Precision, wide: int) -> list[str]:
        """What is wrong with how a graph computes, whatever it answers."""
        found = []
        if precision == "fp16":
            extra = facts.casts - count(self._fp32, "Cast")
            if extra > 2 and not facts.kept:
                found.append(f"{extra} casts beside those of input and output (at most 2): it would not run in fp16")
            if wide > len(facts.kept):
                found.append(f"{wide} of {facts.weighted} weights are not half")
        if precision in FLAVOURS and (lost := stranded(model)):
            found.append(f"a quantiser lies in front of {', '.join(lost[:3])}")
        if precision == "int8s" and facts.refused:
            found.append(f"TensorRT would refuse it: {facts.refused[0]}")
        return found


def _check(evidence: Evidence, preprocessing: Preprocessing) -> None:
    """`InputError` for images that graphs cannot be held to."""
    for what, images in (("calibration", evidence.calibration), ("test", evidence.test)):
        wanted = (preprocessing.height, preprocessing.width, 3)
        if images.dtype != np.uint8 or images.shape[1:] != wanted or not len(images):
            shape = ", ".join(map(str, wanted))
            raise InputError(f"{what} images must be uint8 [N, {shape}], not {images.dtype} {list(images.shape)}")
    if len(evidence.test) != len(evidence.targets):
        raise InputError(f"{len(evidence.test)} test images and {len(evidence.targets)} targets")


def answers_of(model: onnx.ModelProto, images: Pixels) -> Floats:
    """What a graph with the bundle's signature answers on a CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(to_bytes(model))
        return _run(path, "fp32", images)


def _run(path: Path, precision: str, images: Pixels) -> Floats:
    engine = backend_class("onnxruntime")(path, precision=precision, device="cpu", threads=None)
    return np.concatenate([engine.run(images[start : start + 64]) for start in range(0, len(images), 64)])


def _selftest_images(evidence: Evidence) -> int:
    return min(SELFTEST_IMAGES, len(evidence.test))


def _write_selftest(path: Path, evidence: Evidence, proven: Mapping[Precision, _Proven]) -> dict[Precision, float]:
    """Keep a few inputs with each graph's own answers, and say how far another machine's may be from them."""
    from safetensors.numpy import save_file

    some = _selftest_images(evidence)
    answers = {precision: np.ascontiguousarray(entry.answers[:some]) for precision, entry in proven.items()}
    vectors: dict[str, npt.NDArray[Any]] = {"image": np.ascontiguousarray(evidence.test[:some])}
    save_file(vectors | answers, path)
    return {
        precision: float(f"{SELFTEST_TOLERANCE[precision] * max(1.0, float(np.abs(values).max())):.3g}")
        for precision, values in answers.items()
    }


def _tools() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "onnx", "onnxscript")}
