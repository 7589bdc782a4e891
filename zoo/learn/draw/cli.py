"""`zoo draw`: pictures. Heavy imports happen inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import need

app = typer.Typer(no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", "-o", help="The picture to write: .png or .svg.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed draws the same picture.")]


@app.command()
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN_OR_STAGE...", help="Folders of runs, or of stages.")],
    out: Out,
) -> None:
    """Learning curves, of finished and unfinished runs: training loss and test metric, a line for each stage."""
    need("matplotlib", extra="train", purpose="zoo draw")
    from zoo.learn.draw.curves import draw_curves
    from zoo.learn.draw.metrics import read_curves
    from zoo.learn.draw.style import check_name

    check_name(out)
    draw_curves(read_curves(runs), out)
    typer.echo(str(out))


@app.command()
def predictions(
    network: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT_OR_BUNDLE", help="A trained network's folder or file, or NAME.zoo.")
    ],
    images: Annotated[
        list[Path] | None, typer.Argument(help="Image files; without any, some it was tested on.")
    ] = None,
    *,
    out: Out,
    count: Annotated[int, typer.Option(min=1, help="How many images, where none are named.")] = 16,
    seed: Seed = 0,
) -> None:
    """A grid of pictures with a network's predictions, and whether they are true where that is known."""
    need("matplotlib", extra="train", purpose="zoo draw")
    from zoo.learn.draw.predictions import draw_predictions, open_source
    from zoo.learn.draw.predictions import predictions as predict
    from zoo.learn.draw.style import check_name

    check_name(out)
    source = open_source(network)
    cells = predict(source, images or [], count=count, seed=seed)
    draw_predictions(source.name, cells, out, names=[image.name for image in images or []])
    typer.echo(str(out))


@app.command()
def filters(
    checkpoint: Annotated[Path, typer.Argument(help="A trained network: its folder or its file.")],
    layer: Annotated[str, typer.Option(metavar="NAME", help="E.g. features.3, as in the weights' names.")],
    out: Out,
    count: Annotated[int, typer.Option("--filters", min=1, help="How many of the layer's channels, from 0 on.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Steps uphill.")] = 128,
    seed: Seed = 0,
) -> None:
    """What the channels of a layer respond to: pictures that excite each of them, found by gradient ascent."""
    need("matplotlib", "torch", extra="train", purpose="zoo draw")
    from zoo.learn.draw.filters import draw_filters
    from zoo.learn.draw.style import check_name
    from zoo.models.checkpoint import load

    check_name(out)
    network, about = load(checkpoint)
    draw_filters(about.name, network, layer, out, size=about.data.size, count=count, steps=steps, seed=seed)
    typer.echo(str(out))
