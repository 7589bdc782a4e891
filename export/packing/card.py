"""The model card of a bundle: what a person wants to know before using it, generated from the manifest."""

from __future__ import annotations

from zoo.bundle.manifest import Manifest, Precision
from zoo.tasks.task import Task


def card(manifest: Manifest, task: Task) -> str:
    """Markdown for the bundle's README.md."""
    image, accuracy = manifest.input, manifest.accuracy
    labels = task.labels
    shown = ", ".join(labels[:12]) + (f" ... ({len(labels)} in all)" if len(labels) > 12 else "")
    rows = "\n".join(_row(manifest, precision, task) for precision in manifest.graphs)
    origin = "\n".join(f"- {key}: {_plain(value)}" for key, value in manifest.provenance.items())
    return f"""# {manifest.name}

{manifest.task}, {manifest.cost.parameters:,} parameters, {manifest.cost.macs:,} multiply-accumulates per image.

| graph | {accuracy.metric} on {accuracy.images} {accuracy.split} images | agrees | max difference | cosine |
|---|---|---|---|---|
| {manifest.provenance.get("source", "torch fp32")} | {task.shown(accuracy.torch)} | | | |
{rows}

Measured when the bundle was made, with ONNX Runtime on a CPU, against the first row. Agreement is of the decisions
(top-1 class, tag at 0.5, point within half a pixel); the cosine is the smallest of any image's outputs.
{_remarks(manifest)}
## Input and output
`{image.name}`: {image.dtype} [N, {image.height}, {image.width}, 3], {image.color}; normalisation is inside the graph.
From a picture: short side to {image.resize} pixels (Pillow's antialiased bilinear), then the centre
{image.height} x {image.width}. N may be 1 to {image.max_batch}.
`{manifest.output.name}`: {manifest.output.dtype} [N, {manifest.output.size}].
Names: {shown}.

## Use
```python
import zoo
engine = zoo.load("{manifest.name}.zoo")
print(engine.predict("picture.jpg"))
```
`zoo verify {manifest.name}.zoo` checks every file and runs the self-test.

## Where it comes from
{origin}
"""


def _row(manifest: Manifest, precision: Precision, task: Task) -> str:
    parity, accuracy = manifest.parity[precision], manifest.accuracy.graphs[precision]
    return (
        f"| {precision} | {task.shown(accuracy)} | {100 * parity.agreement:.2f} % "
        f"| {parity.max_abs:.3g} | {parity.cosine:.6f} |"
    )


def _remarks(manifest: Manifest) -> str:
    lines = [
        f"- {precision} keeps `{layer}` in fp32: {reason}"
        for precision, graph in manifest.graphs.items()
        for layer, reason in graph.kept.items()
    ]
    return "\n" + "\n".join(lines) + "\n" if lines else ""


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {entry}" for key, entry in value.items())
    return str(value)
