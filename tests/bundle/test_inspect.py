"""The card of a bundle."""

from __future__ import annotations

import json

from tests.support.tiny import tiny_bundle
from tests.support.world import add_plan
from zoo.bundle.inspect import facts, text
from zoo.engines import Bundle


def test_the_card_of_a_trained_bundle(zoo_command, bundle_path, tmp_path):
    import onnx

    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    shown = zoo_command("inspect", bundle_path, "--json", env=env)
    assert shown.returncode == 0, shown.stderr
    card = json.loads(shown.stdout)
    manifest = Bundle.open(bundle_path).manifest
    nodes = onnx.load(bundle_path / "model.int8.onnx").graph.node
    int8 = card["graphs"]["int8"]
    assert sum(int8["operators"].values()) == int8["nodes"] == len(nodes)
    assert int8["operators"]["QuantizeLinear"] == sum(node.op_type == "QuantizeLinear" for node in nodes)
    assert int8["parity"]["agreement"] == manifest.parity["int8"].agreement
    assert int8["accuracy"] == manifest.accuracy.graphs["int8"]
    assert card["bytes"] == sum(path.stat().st_size for path in bundle_path.iterdir() if path.is_file())
    assert card["tuned"] is None
    assert card["labels"] == ["circle", "cross", "stripes"]

    printed = zoo_command("inspect", bundle_path, env=env).stdout
    for words in (
        "mobilenet_v2: classification",
        "circle, cross, stripes",
        "fp16",
        "Conv",
        "tuned here: no",
        "source:",
    ):
        assert words in printed


def test_engines_on_the_card(tmp_path):
    path = tiny_bundle(tmp_path / "tiny.zoo")
    add_plan(path, "tensorrt-fp32-h200")
    stale = add_plan(path, "tensorrt-fp32-old")
    sidecar = json.loads((stale / "sidecar.json").read_text())
    sidecar["graph"]["sha256"] = "0" * 64
    (stale / "sidecar.json").write_text(json.dumps(sidecar))
    (path / "engines" / "unknown").mkdir()
    bundle = Bundle.open(path)
    lines = text(bundle, facts(bundle)).splitlines()
    fresh, old, unknown = [line for line in lines if line.startswith(("  tensorrt-", "  unknown"))]
    assert "tensorrt 10.16.1.11 fp32 on NVIDIA H200, batch 1 to 16" in fresh
    assert old.endswith("stale: built from another graph")
    assert "cannot be read" in unknown
    assert len([engine for engine in facts(bundle)["engines"] if engine["stale"]]) == 2


def test_without_onnx_the_card_says_what_it_cannot_count(tmp_path, monkeypatch):
    import sys

    bundle = Bundle.open(tiny_bundle(tmp_path / "tiny.zoo"))
    monkeypatch.setitem(sys.modules, "onnx", None)
    data = facts(bundle)
    assert data["graphs"]["fp32"]["operators"] is None
    assert "pip install 'distilzoo[export]'" in text(bundle, data)
