"""The write step: what stands in a bundle beside its graphs. Labels, self-test, model card and manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.packing.card import card
from export.packing.judge import Judge, Judged
from export.packing.request import Evidence, Request
from zoo.bundle.bundle import MANIFEST
from zoo.bundle.manifest import Accuracy, FileEntry, Input, Manifest, Output, Precision, SelfTest
from zoo.files import sha256

LABELS = "labels.json"
SELFTEST = "selftest.safetensors"
SELFTEST_IMAGES = 8
# Largest accepted difference of a self-test output, as a share of the largest logit: other CPUs sum in another order,
# and in int8 another runtime may round each activation by a step.
SELFTEST_TOLERANCE = {"fp32": 1e-4, "fp16": 1e-2, "int8": 1e-1, "int8s": 1e-1}


def write_bundle(folder: Path, request: Request, judge: Judge, graphs: Mapping[Precision, Judged]) -> Manifest:
    """Complete the `folder` that holds the judged graphs already, and return its manifest."""
    task = request.task
    if "fp32" not in graphs:
        (folder / "model.fp32.onnx").unlink()
    (folder / LABELS).write_text(json.dumps(list(task.labels), ensure_ascii=False) + "\n", encoding="utf-8")
    selftest = _write_selftest(folder / SELFTEST, request.evidence, graphs)
    manifest = _manifest(request, judge, graphs, selftest)
    (folder / "README.md").write_text(card(manifest, task), encoding="utf-8")
    files = {path.name: FileEntry(sha256=sha256(path), bytes=path.stat().st_size) for path in sorted(folder.iterdir())}
    manifest = manifest.model_copy(update={"files": files})
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _manifest(request: Request, judge: Judge, graphs: Mapping[Precision, Judged], selftest: SelfTest) -> Manifest:
    """The manifest, but for the list of files."""
    task, preprocessing, evidence = request.task, request.preprocessing, request.evidence
    return Manifest(
        name=request.name,
        task=task.name,
        input=Input(
            height=preprocessing.height,
            width=preprocessing.width,
            resize=preprocessing.resize,
            max_batch=request.options.max_batch,
        ),
        output=Output(name=task.output, size=task.outputs),
        labels=LABELS,
        graphs={precision: judged.facts for precision, judged in graphs.items()},
        parity={precision: judged.parity for precision, judged in graphs.items()},
        gates={precision: judge.gates[precision] for precision in graphs},
        accuracy=Accuracy(
            metric=task.metric,
            split=evidence.split,
            images=len(evidence.test),
            torch=judge.score,
            graphs={precision: judged.accuracy for precision, judged in graphs.items()},
        ),
        selftest=selftest,
        cost=request.source.cost(),
        provenance=dict(request.provenance) | {"source": request.source.title, "tools": _tools()},
        files={},
    )


def _write_selftest(path: Path, evidence: Evidence, graphs: Mapping[Precision, Judged]) -> SelfTest:
    """Store a few images with each graph's logits, and say by how much those of another machine may differ."""
    from safetensors.numpy import save_file

    some = min(SELFTEST_IMAGES, len(evidence.test))
    logits = {precision: np.ascontiguousarray(judged.logits[:some]) for precision, judged in graphs.items()}
    vectors: dict[str, npt.NDArray[Any]] = {"image": np.ascontiguousarray(evidence.test[:some])}
    save_file(vectors | logits, path)
    tolerance = {
        precision: float(f"{SELFTEST_TOLERANCE[precision] * max(1.0, float(np.abs(values).max())):.3g}")
        for precision, values in logits.items()
    }
    return SelfTest(file=path.name, images=some, tolerance=tolerance)


def _tools() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "onnx", "onnxscript")}
