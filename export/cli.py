"""`zoo export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from zoo.errors import InputError, missing_package, nearest
from zoo.tasks.class_order import ClassOrder

if TYPE_CHECKING:
    from export.packing.quantise.sensitive import Choice
    from zoo.bundle.manifest import Manifest, Precision

app = typer.Typer()

FOREIGN = "Models that are not ours"


@app.command()
def export(
    source: Annotated[
        str,
        typer.Argument(
            help="The folder that a training wrote, or its model.safetensors; timm:NAME, torchvision:NAME or FILE.onnx."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write: NAME.zoo.")],
    precision: Annotated[
        str, typer.Option(help="Graphs to pack, comma-separated: fp32, fp16, int8 (CPU), int8s (TensorRT).")
    ] = "fp32,fp16,int8",
    test_set: Annotated[
        Path | None, typer.Option(help="Also write the test images for `zoo bench run --evaluate`: FILE.safetensors.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Where the recipe's images are now, if they have moved; a foreign model's: DIR/CLASS/image."),
    ] = None,
    calibration: Annotated[int, typer.Option(min=1, help="Training images that calibrate fp16 and int8.")] = 256,
    method: Annotated[
        str, typer.Option(help="int8 ranges: minmax, entropy, percentile, or auto: the one with the best metric.")
    ] = "minmax",
    opset: Annotated[int | None, typer.Option(help="Operator set (20; an ONNX file's own).")] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Most images at once.")] = 1024,
    max_drop: Annotated[
        float | None, typer.Option(min=0, help="What fp16 and int8 may lose of the metric, in points or pixels.")
    ] = None,
    max_abs: Annotated[float | None, typer.Option(min=0, help="Largest difference of an fp32 output.")] = None,
    min_agreement: Annotated[float | None, typer.Option(min=0, max=1, help="Least share of equal decisions.")] = None,
    min_cosine: Annotated[float | None, typer.Option(min=-1, max=1, help="Least cosine of an image's outputs.")] = None,
    max_kl: Annotated[float | None, typer.Option(min=0, help="Largest mean KL divergence, in nats.")] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM", help="Sign the bundle with this private key. Sigstore without keys: docs/serving.md"
        ),
    ] = None,
    weights: Annotated[
        str,
        typer.Option(help="timm, torchvision: a .safetensors or .pth file, package or hub.", rich_help_panel=FOREIGN),
    ] = "",
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KNOB=VALUE",
            help="timm, torchvision: the network's keyword arguments, transform_input=true for example.",
            rich_help_panel=FOREIGN,
        ),
    ] = [],  # noqa: B006  (typer copies it)
    labels: Annotated[
        Path | None,
        typer.Option(help="A JSON list of the outputs' names; the folders of --data if not.", rich_help_panel=FOREIGN),
    ] = None,
    class_order: Annotated[
        ClassOrder | None,
        typer.Option(
            help="How outputs follow the folders' names: natural (timm: 2 before 10), lexical (torchvision).",
            rich_help_panel=FOREIGN,
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(min=8, help="Side in pixels.", rich_help_panel=FOREIGN)] = None,
    resize: Annotated[
        int | None, typer.Option(min=8, help="Short side before the centre crop.", rich_help_panel=FOREIGN)
    ] = None,
    mean: Annotated[
        str, typer.Option(help="Of the channels, scaled to 0..1: 0.485,0.456,0.406.", rich_help_panel=FOREIGN)
    ] = "",
    std: Annotated[str, typer.Option(help="Alike: 0.229,0.224,0.225.", rich_help_panel=FOREIGN)] = "",
    output: Annotated[str, typer.Option(help="ONNX: which output holds the logits.", rich_help_panel=FOREIGN)] = "",
) -> None:
    """Export a network to ONNX graphs, check each against its source, and pack them. Exit 1 if a graph fails."""
    try:
        from export.packing.request import Options
        from export.packing.sources.checkpoint import pack_checkpoint
        from export.packing.sources.library import Given, is_foreign, pack_foreign
        from zoo.models.knobs import knobs_given
    except ImportError as error:
        raise missing_package(str(error.name), "train,export", "zoo export") from None
    thresholds = {
        "max_drop": max_drop,
        "max_abs": max_abs,
        "agreement": min_agreement,
        "cosine": min_cosine,
        "kl": max_kl,
    }
    options = Options(opset=opset, max_batch=max_batch, method=_method(method), thresholds=thresholds, sign=sign)
    if is_foreign(source):
        given = Given(
            images=data,
            labels=labels,
            class_order=class_order,
            weights=weights,
            knobs=knobs_given(set_),
            size=size,
            resize=resize,
            mean=_channels(mean),
            std=_channels(std),
            output=output,
            calibration=calibration,
            precisions=_precisions(precision),
            options=options,
        )
        if test_set is not None:
            raise InputError("--test-set is for checkpoints: a foreign model's test images are those of --data")
        _show(out, pack_foreign(source, out, given))
        return
    foreign = {"weights": weights, "labels": labels, "size": size, "resize": resize, "mean": mean, "std": std}
    for name, value in (foreign | {"output": output, "class-order": class_order, "set": set_}).items():
        if value:
            raise InputError(f"--{name} is for timm:NAME, torchvision:NAME and FILE.onnx: a checkpoint knows its own")
    manifest = pack_checkpoint(
        Path(source),
        out,
        precisions=_precisions(precision),
        calibration=calibration,
        data_path=data,
        test_set=test_set,
        options=options,
    )
    _show(out, manifest)


def _precisions(text: str) -> list[Precision]:
    from zoo.bundle.manifest import Precision

    known = get_args(Precision)
    wanted = list(dict.fromkeys(text.split(",")))
    for name in wanted:
        if name not in known:
            raise InputError(f"no precision '{name}'; there are: {', '.join(known)}{nearest(name, known)}")
    return cast("list[Precision]", wanted)


def _method(name: str) -> Choice:
    from export.packing.quantise.sensitive import Choice

    known = get_args(Choice)
    if name not in known:
        raise InputError(f"no method '{name}'; there are: {', '.join(known)}{nearest(name, known)}")
    return cast("Choice", name)


def _channels(text: str) -> tuple[float, ...] | None:
    try:
        return tuple(float(number) for number in text.split(",")) if text else None
    except ValueError:
        raise InputError(f"'{text}' is not three numbers with commas between them") from None


def _show(out: Path, manifest: Manifest) -> None:
    from zoo.tasks.registry import TASKS

    shown = TASKS[manifest.task]((), 0).shown
    before = f"{manifest.accuracy.metric} {shown(manifest.accuracy.torch)}"
    typer.echo(f"{out}: {before} in {manifest.provenance['source']}")
    for name, graph in manifest.graphs.items():
        parity = manifest.parity[name]
        typer.echo(
            f"  {graph.file}: {manifest.files[graph.file].bytes:,} bytes, "
            f"{manifest.accuracy.metric} {shown(manifest.accuracy.graphs[name])}, "
            f"max |difference| {parity.max_abs:.3g}, agreement {100 * parity.agreement:.2f} %"
            + (f", {len(graph.kept)} layers in fp32" if graph.kept else "")
        )
