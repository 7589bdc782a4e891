"""TensorRT engines of a bundle, as the tests find, load and spoil them."""

from __future__ import annotations

import json
from pathlib import Path

import zoo
from zoo.files import sha256


def engine_folder(bundle: Path, precision: str = "fp16", version: str = "11.4.0.106") -> Path:
    return bundle / "engines" / f"tensorrt-{precision}-nvidia-test-gpu-{version}"


def load(bundle: Path, precision: str = "fp16", backend: str = "tensorrt"):
    return zoo.load(bundle, backend=backend, precision=precision, device="cuda", selftest=False)


def replace_graph(bundle: Path, name: str, content: bytes) -> None:
    """Another graph, and the manifest knows it."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / name).write_bytes(content)
    manifest["files"][name] = {"sha256": sha256(bundle / name), "bytes": len(content)}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
