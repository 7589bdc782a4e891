"""What a bundle is, in one look: its graphs, what they cost and keep, where it comes from, what was built and tuned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.bundle import signature, tuned
from zoo.bundle.built import engines
from zoo.bundle.bundle import MANIFEST, Bundle
from zoo.tasks.registry import TASKS

SHOWN = 12  # labels and operators in one line


def facts(bundle: Bundle) -> dict[str, Any]:
    """Everything as data. A graph's `operators` (how often each occurs) are null where `onnx` is not installed.

    Raises `InputError` when a graph is not as the manifest says; other files are left to `zoo verify`.
    """
    manifest = bundle.manifest
    data = manifest.model_dump(mode="json", exclude={"schema_", "files", "graphs", "parity", "gates", "accuracy"})
    choice = tuned.find(bundle)
    return data | {
        "labels": bundle.labels(),
        "bytes": sum(entry.bytes for entry in manifest.files.values()) + (bundle.path / MANIFEST).stat().st_size,
        "files": len(manifest.files) + 1,
        "accuracy": manifest.accuracy.model_dump(mode="json", exclude={"graphs"}),
        "graphs": {
            name: {
                **graph.model_dump(mode="json"),
                "bytes": manifest.files[graph.file].bytes,
                "operators": operators(bundle.file(graph.file)),
                "accuracy": manifest.accuracy.graphs.get(name),
                "parity": manifest.parity[name].model_dump(mode="json") if name in manifest.parity else None,
                "gate": manifest.gates[name].model_dump(mode="json") if name in manifest.gates else None,
            }
            for name, graph in manifest.graphs.items()
        },
        "engines": [
            {
                "key": built.key,
                "problem": built.problem or None,
                **({} if built.about is None else built.about.model_dump(mode="json")),
                "stale": built.stale(bundle),
            }
            for built in engines(bundle)
        ],
        "tuned": None if choice is None else choice.model_dump(mode="json", by_alias=True),
        "signed": (bundle.path / signature.FILE).is_file(),
    }


def operators(graph: Path) -> dict[str, int] | None:
    """How often each operator occurs in an ONNX file, the most frequent first."""
    try:
        import onnx
    except ImportError:
        return None
    nodes = onnx.load(graph).graph.node
    return dict(Counter(node.op_type for node in nodes).most_common())


def text(bundle: Bundle, data: dict[str, Any]) -> str:
    """The card for a terminal."""
    image, output, cost, accuracy = data["input"], data["output"], data["cost"], data["accuracy"]
    shown = TASKS[data["task"]]((), image["height"]).shown
    labels = _some([str(label) for label in data["labels"]])
    source = f"{accuracy['metric']} {shown(accuracy['torch'])} on {accuracy['images']:,} {accuracy['split']} images"
    lines = [
        f"{data['name']}: {data['task']}, {cost['parameters']:,} parameters, {cost['macs']:,} MACs per image",
        f"  input    {image['name']} {image['dtype']} [N, {image['height']}, {image['width']}, 3] {image['color']}, "
        f"N up to {image['max_batch']:,}; short side to {image['resize']}, then the centre",
        f"  output   {output['name']} {output['dtype']} [N, {output['size']}]: {labels}",
        f"  on disk  {data['bytes']:,} bytes in {data['files']} files; {_signed(data['signed'])}",
        f"  source   {source}",
        "",
    ]
    lines += aligned(_graph_rows(data, shown)) + _remarks(data["graphs"])
    lines += _engines(data) + _tuned(data["tuned"], bundle.path)
    lines += ["", "comes from", *(f"  {key}: {_flat(value)}" for key, value in data["provenance"].items())]
    return "\n".join(lines)


def _graph_rows(data: dict[str, Any], shown: Any) -> list[list[str]]:
    rows = [["graph", "bytes", "nodes", "with weights", "in precision", data["accuracy"]["metric"]]]
    rows[0] += ["agrees", "max |diff|", "cosine"]
    for name, graph in data["graphs"].items():
        parity = graph["parity"]
        rows.append(
            [
                name,
                f"{graph['bytes']:,}",
                str(graph["nodes"]),
                str(graph["weighted"]),
                f"{100 * graph['low_precision_share']:.0f} %",
                "-" if graph["accuracy"] is None else shown(graph["accuracy"]),
                *(["-"] * 3 if parity is None else _parity(parity)),
            ]
        )
    return rows


def _parity(parity: dict[str, Any]) -> list[str]:
    return [f"{100 * parity['agreement']:.2f} %", f"{parity['max_abs']:.3g}", f"{parity['cosine']:.6f}"]


def _remarks(graphs: dict[str, Any]) -> list[str]:
    lines = [""]
    for name, graph in graphs.items():
        if graph["operators"] is not None:
            counts = _some([f"{count} {kind}" for kind, count in graph["operators"].items()])
            lines.append(f"  {name}: opset {graph['opset']}; {counts}")
        lines += [f"  {name} keeps {layer} in fp32: {reason}" for layer, reason in graph["kept"].items()]
    if any(graph["operators"] is None for graph in graphs.values()):
        lines.append("  operators are counted where onnx is installed: pip install 'distilzoo[export]'")
    return lines


def _engines(data: dict[str, Any]) -> list[str]:
    lines = ["", "engines built here" if data["engines"] else "engines built here: none"]
    for engine in data["engines"]:
        if engine["problem"]:
            lines.append(f"  {engine['key']}: cannot be read: {engine['problem']}")
            continue
        least, _, most = engine["batch"]
        lines.append(
            f"  {engine['key']}: {engine['backend']} {engine['library']} {engine['precision']} on "
            f"{engine['processor']['name']}, batch {least} to {most}, {engine['artefact']['bytes']:,} bytes"
            + (", stale: built from another graph" if engine["stale"] else "")
        )
    return lines


def _tuned(choice: dict[str, Any] | None, path: Path) -> list[str]:
    if choice is None:
        return [f"tuned here: no (zoo tune {path})"]
    return [
        f"tuned here for {choice['aim']}: {choice['backend']} {choice['precision']}, threads {choice['threads']}, "
        f"batch {choice['batch']}; p50 {choice['p50_ms']:.3g} ms"
    ]


def _signed(there: bool) -> str:
    return f"{signature.FILE} is there (zoo verify --signature checks it)" if there else "not signed"


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:SHOWN]) + (f" ... ({len(words)} in all)" if len(words) > SHOWN else "")


def aligned(rows: list[list[str]]) -> list[str]:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return str(value)
