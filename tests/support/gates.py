"""Receipts made up for tests that are about deciding and showing: process pairs with exact ratios.

Beside them the candidates that the gate is to judge: changed bundles, graphs, folders of results.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import onnx

from bench.gate import verdict
from bench.gate.config import Benchmark, GateConfig
from bench.gate.receipt import Check, Entry, Pair, Receipt
from bench.gate.rule import decide
from bench.gate.run import Book
from tests.support.rows import results, row
from tests.support.tiny import GRAPH, tiny_bundle
from zoo.bundle.manifest import Manifest
from zoo.files import sha256

SAME = Check(name="answers", verdict="pass", reason="difference 1e-07")
WRONG = Check(name="answers", verdict="fail", reason="difference 1.1 (at most 0.05): its outputs are wrong")


def pair(unit: float, *, rounds: int = 6, ns: int = 1_000_000) -> Pair:
    """A process pair whose candidate took exp(unit) times as long in every round."""
    process = {"load_ms": 20.0, "first_call_ms": 3.0, "peak_bytes": 10**8}
    each = {"baseline": [ns] * 5, "candidate": [round(ns * math.exp(unit))] * 5}
    processes = {"baseline": process, "candidate": process}
    return Pair.model_validate({"seconds": 0.9, "processes": processes, "rounds": [each] * rounds})


def noise(change: float, *, pairs: int = 24, spread: float = 0.01, seed: int = 0) -> list[float]:
    """Units of a candidate that is slower by `change`, on a machine whose processes differ by `spread`."""
    draw = random.Random(seed)
    return [math.log1p(change) + draw.gauss(0, spread) for _ in range(pairs)]


def entry(
    units: Sequence[float], *, name: str = "net", checks: Sequence[Check] = (SAME,), still=None, error=None
) -> Entry:
    config = GateConfig()
    benchmark = Benchmark(name=name)
    rule = config.rule(benchmark, 1)
    found = [verdict.measured("time", decide(units, rule), rule, error)]
    return Entry.model_validate(
        {
            "benchmark": benchmark,
            "verdict": verdict.of_entry(found, checks, error),
            "engine": None,
            "calls": 5,
            "measured": found,
            "checks": list(checks),
            "sentinel": still,
            "pairs": [pair(unit) for unit in units],
            "error": error,
        }
    )


def receipt(*entries: Entry, interrupted: bool = False) -> Receipt:
    book = Book(Path("main/net.zoo"), Path("net.zoo"), GateConfig(), len(entries), argv=["zoo", "bench", "gate"])
    book.entries += entries
    return book.receipt(interrupted=interrupted)


SLOWER = noise(0.05)
AS_BEFORE = noise(0.0)
TOO_NOISY = noise(0.03, spread=0.2)


def write_graph(path: Path, text: str = GRAPH) -> Path:
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def edited(path: Path, *, graph: str | None = None, **changes) -> Path:
    """Another bundle with changes in its manifest, and another graph in every precision."""
    tiny_bundle(path, name=path.stem)
    if graph is not None:
        for file in path.glob("*.onnx"):
            write_graph(file, graph)
    manifest = json.loads((path / "manifest.json").read_text()) | changes
    for name, entry in manifest["files"].items():
        entry |= {"sha256": sha256(path / name), "bytes": (path / name).stat().st_size}
    (path / "manifest.json").write_text(Manifest.model_validate(manifest).to_json())
    return path


def net(ms: float, **more):
    return row("net", "student", "onnxruntime fp32", ms, **more)


def folder(path: Path, times: list[float], **more) -> Path:
    """A results file for each time, a minute apart."""
    path.mkdir()
    for place, ms in enumerate(times):
        found = results(net(ms, **more))
        moved = found.model_copy(update={"created": found.created + timedelta(minutes=place)})
        moved.write(path / f"{place:02d}.json")
    return path


NEAR = [1.0, 1.004, 0.998, 1.001, 1.003]
