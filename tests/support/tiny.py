"""A real bundle in a few kilobytes: mean colours into one linear layer, three classes, 8 x 8 pixels.

It knows red, green and blue things apart (`LABELS`), so that its accuracy on `colour_folder` is known: 1.0. As a
keypoint task it answers with x and y of three points, which are the colours twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from PIL import Image
from safetensors.numpy import save_file

from zoo.bundle.bundle import MANIFEST
from zoo.bundle.manifest import Manifest
from zoo.files import sha256

LABELS = ["red", "green", "blue"]
SIDE = 8

# Averages each colour plane over all pixels, then multiplies by a matrix that is 1 on the diagonal.
GRAPH = f"""
<ir_version: 10, opset_import: ["" : 20], producer_name: "tests">
tiny (uint8[N, {SIDE}, {SIDE}, 3] image) => (float[N, 3] logits)
<float[3, 3] weight = {{1, 0, 0, 0, 1, 0, 0, 0, 1}}, float[3] bias = {{0, 0, 0}}, int64[2] axes = {{1, 2}}>
{{
  pixels = Cast <to = 1> (image)
  colour = ReduceMean <keepdims = 0> (pixels, axes)
  logits = Gemm (colour, weight, bias)
}}
"""


POINTS_GRAPH = (
    GRAPH.replace("float[3, 3] weight = {1, 0, 0, 0, 1, 0, 0, 0, 1}", "float[3, 6] weight = {%s}")
    .replace("float[3] bias = {0, 0, 0}", "float[6] bias = {0, 0, 0, 0, 0, 0}")
    .replace("float[N, 3] logits", "float[N, 6] points")
    .replace("logits", "points")
) % "1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1"


def tiny_bundle(
    path: Path,
    *,
    name: str = "tiny",
    task: str = "classification",
    labels: Sequence[str] = LABELS,
    precisions: Sequence[str] = ("fp32", "int8"),
    wrong: Sequence[str] = (),
) -> Path:
    """Write a valid bundle to `path`; every precision is a copy of the same fp32 graph, and those in `wrong` take red
    for green, whatever the manifest says of them.
    """
    path.mkdir(parents=True)
    points = task == "keypoints"
    model = onnx.parser.parse_model(POINTS_GRAPH if points else GRAPH)
    onnx.checker.check_model(model, full_check=True)
    confused = onnx.parser.parse_model(GRAPH.replace("{1, 0, 0, 0, 1, 0, 0, 0, 1}", "{0, 1, 0, 1, 0, 0, 0, 0, 1}"))
    for precision in precisions:
        onnx.save(confused if precision in wrong else model, path / f"model.{precision}.onnx")
    (path / "labels.json").write_text(json.dumps(list(labels)))
    images = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    logits = images.mean(axis=(1, 2)).astype(np.float32)
    logits = np.tile(logits, 2) if points else logits
    save_file({"image": images, **dict.fromkeys(precisions, logits)}, path / "selftest.safetensors")

    exact = {"images": 2, "max_abs": 0.0, "mean_abs": 0.0, "cosine": 1.0, "agreement": 1.0}
    graph = {"opset": 20, "nodes": len(model.graph.node), "casts": 1, "low_precision_share": 0.0}
    manifest = {
        "schema": "zoo.bundle/1",
        "name": name,
        "task": task,
        "input": {"height": SIDE, "width": SIDE, "resize": SIDE},
        "output": {"name": "points" if points else "logits", "dtype": "float32", "size": logits.shape[1]},
        "labels": "labels.json",
        "graphs": {precision: {"file": f"model.{precision}.onnx", **graph} for precision in precisions},
        "parity": dict.fromkeys(precisions, exact),
        "accuracy": {
            "metric": "top1",
            "split": "test",
            "images": 2,
            "torch": 1.0,
            "graphs": dict.fromkeys(precisions, 1.0),
        },
        "selftest": {"file": "selftest.safetensors", "images": 2, "tolerance": dict.fromkeys(precisions, 1e-3)},
        "cost": {"parameters": 12, "buffers": 0, "macs": 9},
        "provenance": {},
        "files": {file.name: {"sha256": sha256(file), "bytes": file.stat().st_size} for file in sorted(path.iterdir())},
    }
    (path / MANIFEST).write_text(Manifest.model_validate(manifest).to_json())
    return path


def colour_folder(path: Path, *, each: int = 2, labels: Sequence[str] = LABELS) -> Path:
    """Write `each` plain images a class to `path`/CLASS/, larger than the network's input."""
    for place, label in enumerate(labels):
        for number in range(each):
            colour = [40, 40, 40]
            colour[place] = 200 + number
            folder = path / label
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 16), tuple(colour)).save(folder / f"{number}.png")
    return path
