"""`zoo list`: students with what they cost, teachers, recipes. Heavy imports happen inside the command."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.errors import InputError, first_line, missing_package

if TYPE_CHECKING:
    from rich.console import Console
    from torch import nn

app = typer.Typer()

Model = Annotated[
    str | None,
    typer.Option("--cost", metavar="MODEL", help="Layer by layer, what a family, torchvision:NAME or timm:NAME costs."),
]
Settings = Annotated[list[str], typer.Option("--set", metavar="KNOB=VALUE", help="With --cost: e.g. width=0.5.")]
Folded = Annotated[bool, typer.Option("--folded", help="With --cost: branches as one convolution, as exported.")]
Size = Annotated[int, typer.Option(min=8, help="With --cost: pixels of the square image.")]
Classes = Annotated[int, typer.Option(min=1, help="With --cost.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

EXAMPLES: list[tuple[str, int, int, dict[str, Any]]] = [  # family, classes, pixels, knobs
    ("mobilenet_v1", 1000, 224, {}),
    ("mobilenet_v2", 1000, 224, {}),
    ("mobilenet_v2", 1000, 224, {"width": 0.5}),
    ("mobilenet_v2", 10, 32, {"width": 0.5}),
    ("mobilenet_v3", 1000, 224, {"variant": "large"}),
    ("mobilenet_v3", 1000, 224, {"variant": "small"}),
    ("vgg", 1000, 224, {"depth": 16, "head": "classic"}),
    ("vgg", 10, 32, {"depth": 13}),
    ("vgg", 10, 32, {"depth": 8}),
    ("vgg", 10, 32, {"depth": 8, "width": 0.25}),
    ("repvgg", 1000, 224, {"variant": "a0"}),
    ("mobileone", 1000, 224, {"variant": "s0"}),
]


@app.command("list")
def list_(
    cost: Model = None,
    set_: Settings = [],  # noqa: B006  (typer copies it)
    size: Size = 224,
    classes: Classes = 1000,
    folded: Folded = False,
    as_json: AsJson = False,
) -> None:
    """Students with their parameters and MACs, ways to name a teacher, the shipped recipes; or one network's layers."""
    try:
        import torch  # noqa: F401
    except ImportError:
        raise missing_package("torch", "train", "zoo list") from None
    if cost:
        _layers(cost, set_, size, classes, folded, as_json)
    elif set_ or folded:
        raise InputError("zoo list: --set and --folded go with --cost MODEL")
    else:
        _everything(as_json)


def _everything(as_json: bool) -> None:
    from rich.table import Table

    from zoo.learn.recipe.schema import load_recipe, shipped
    from zoo.models.cost import cost
    from zoo.models.registry import knobs_of, names

    students: list[dict[str, Any]] = []
    for family, classes, size, knobs in EXAMPLES:
        spent = cost(_build(family, knobs, size, classes), size, size)
        students.append({"family": family, "knobs": knobs, "classes": classes, "size": size, **spent.as_dict()})
    recipes = {name: [student.name for student in load_recipe(name).students] for name in shipped()}
    families = names()
    teachers = ["torchvision:NAME", "timm:NAME", "run:FOLDER", *families]
    if as_json:
        typer.echo(json.dumps({"students": students, "teachers": teachers, "recipes": recipes}, indent=2))
        return
    table = Table("student", "knobs", "classes", "pixels", "parameters", "MACs", box=None)
    for entry in students:
        knobs_text = " ".join(f"{key}={value}" for key, value in entry["knobs"].items())
        counts = [f"{entry[key]:,}" for key in ("parameters", "macs")]
        table.add_row(entry["family"], knobs_text, str(entry["classes"]), str(entry["size"]), *counts)
    show = _console().print
    show(table)
    for family in families:
        show(f"knobs of {family}: {', '.join(knobs_of(family))}", highlight=False)
    show(f"teachers: {', '.join(teachers)}", highlight=False)
    for name, trained in recipes.items():
        show(f"recipe {name}: {', '.join(trained)}", highlight=False)


def _layers(model: str, settings: list[str], size: int, classes: int, folded: bool, as_json: bool) -> None:
    from rich.table import Table

    from zoo.models.cost import cost, layers
    from zoo.models.families.reparameterize import reparameterize
    from zoo.models.knobs import knobs_given

    knobs = knobs_given(settings)
    network = _build(model, knobs, size, classes, real=folded)
    if folded:
        network = reparameterize(network)
    try:
        total, rows = cost(network, size, size), layers(network, size, size)
    except (RuntimeError, ValueError, AssertionError) as error:  # each library has its own for a size it cannot take
        raise InputError(f"{model} cannot take {size} x {size} pixels: {first_line(error)}") from None
    if as_json:
        known = {"model": model, "knobs": knobs, "classes": classes, "size": size, "folded": folded}
        typer.echo(json.dumps({**known, **total.as_dict(), "layers": [asdict(row) for row in rows]}, indent=2))
        return
    table = Table("layer", "kind", "kernel", "channels", "map", box=None)
    for column in ("parameters", "MACs", "of a full convolution"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            row.kind,
            f"{row.kernel[0]}x{row.kernel[1]}" if row.kernel else "",
            f"{row.inputs} > {row.outputs}",
            f"{row.height}x{row.width}",
            f"{row.parameters:,}",
            f"{row.macs:,}",
            f"{100 * row.ratio:.2f} %" if row.ratio else "",
        )
    table.add_section()
    table.add_row("total", "", "", "", "", f"{total.parameters:,}", f"{total.macs:,}", style="bold")
    show = _console().print
    show(table)
    show(f"kept but not trained (statistics of norms): {total.buffers:,}", highlight=False)


def _build(model: str, knobs: dict[str, Any], size: int, classes: int, *, real: bool = False) -> nn.Module:
    """A network without numbers where none are needed; a `real` one has fresh weights: folding is arithmetic."""
    from zoo.learn.recipe.schema import Network
    from zoo.models.construct import build, shadow

    make = build if real else shadow
    return make(Network(model=model, knobs=knobs), classes=classes, size=size)


def _console() -> Console:
    """Stdout, wide enough for every row where it is no terminal."""
    from rich.console import Console

    return Console(width=None if Console().is_terminal else 160)
