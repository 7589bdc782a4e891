"""What tests of the ways out of a bundle share: an engine that was built into it, as `zoo build` leaves one."""

from __future__ import annotations

import json
from pathlib import Path

from zoo.files import sha256


def add_plan(bundle: Path, key: str, *, precision: str = "fp32", batch: tuple[int, int, int] = (1, 8, 16)) -> Path:
    """`engines/KEY/` with a file in place of the plan, which only a GPU can read, and its sidecar."""
    folder = bundle / "engines" / key
    folder.mkdir(parents=True)
    (folder / "engine.plan").write_bytes(b"a plan " + key.encode())

    def named(path: Path) -> dict[str, object]:
        return {"name": path.name, "sha256": sha256(path), "bytes": path.stat().st_size}

    sidecar = {
        "schema": "zoo.engine/1",
        "backend": "tensorrt",
        "precision": precision,
        "device": "cuda",
        "graph": named(bundle / f"model.{precision}.onnx"),
        "artefact": named(folder / "engine.plan"),
        "library": "10.16.1.11",
        "processor": {"name": "NVIDIA H200", "kind": "9.0", "driver": "13.0"},
        "batch": batch,
        "settings": {"flags": ["VERSION_COMPATIBLE"]},
        "proof": {"share": 1.0},
        "selftest": {"difference": 0.0, "tolerance": 0.001},
    }
    (folder / "sidecar.json").write_text(json.dumps(sidecar))
    return folder
