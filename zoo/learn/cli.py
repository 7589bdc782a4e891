"""`zoo train`, `zoo distill`, `zoo list`. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.errors import InputError, missing_package, nearest

if TYPE_CHECKING:
    from zoo.learn.recipe import Recipe, Student
    from zoo.learn.run import Run

app = typer.Typer()

RecipeName = Annotated[str, typer.Argument(help="A shipped recipe by name, or the path of a TOML file.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. data.path=DIR.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="The run's folder (default: runs/NAME).")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run that is in the folder.")]
Only = Annotated[list[str], typer.Option("--only", metavar="STUDENT", help="These students only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def train(
    recipe: RecipeName,
    set_: Settings = [],  # noqa: B006  (typer copies it)
    out: Out = None,
    resume: Resume = False,
    only: Only = [],  # noqa: B006
    teacher: Annotated[bool, typer.Option("--teacher", help="Train the recipe's teacher instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train students from labels alone (a later `zoo distill` uses them as controls), or the teacher."""
    run, students = _open(recipe, set_, out, resume, only)
    made = [run.teacher()] if teacher else [run.control(student) for student in students]
    _show(run, made, as_json)


@app.command()
def distill(
    recipe: RecipeName,
    set_: Settings = [],  # noqa: B006
    out: Out = None,
    resume: Resume = False,
    only: Only = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """A teacher, then for each student a control without it and a student that learns from it."""
    run, students = _open(recipe, set_, out, resume, only)
    made = [run.teacher()]
    for student in students:
        made += [run.control(student), run.distilled(student)]
    _show(run, made, as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Students with their parameters and MACs, ways to name a teacher, and the shipped recipes."""
    _need_torch("zoo list")
    import torch
    from rich.console import Console
    from rich.table import Table

    from zoo import models
    from zoo.learn.recipe import load_recipe, shipped
    from zoo.models.cost import cost
    from zoo.models.registry import knobs_of

    students: list[dict[str, Any]] = []
    examples: list[tuple[str, int, int, dict[str, Any]]] = [
        ("mobilenet_v2", 1000, 224, {}),
        ("mobilenet_v2", 1000, 224, {"width": 0.5}),
        ("mobilenet_v2", 10, 32, {"width": 0.5}),
        ("vgg", 1000, 224, {"depth": 16, "head": "classic"}),
        ("vgg", 10, 32, {"depth": 13}),
        ("vgg", 10, 32, {"depth": 8}),
        ("vgg", 10, 32, {"depth": 8, "width": 0.25}),
    ]
    for family, classes, size, knobs in examples:
        with torch.device("meta"):
            network = models.build(family, classes=classes, size=size, **knobs)
        spent = cost(network, size, size)
        students.append({"family": family, "knobs": knobs, "classes": classes, "size": size, **spent.as_dict()})
    recipes = {name: [student.name for student in load_recipe(name).students] for name in shipped()}
    teachers = ["torchvision:NAME", "timm:NAME", "run:FOLDER", *models.STUDENTS]
    if as_json:
        typer.echo(json.dumps({"students": students, "teachers": teachers, "recipes": recipes}, indent=2))
        return
    table = Table("student", "knobs", "classes", "pixels", "parameters", "MACs", box=None)
    for entry in students:
        knobs_text = " ".join(f"{key}={value}" for key, value in entry["knobs"].items())
        counts = [f"{entry[key]:,}" for key in ("parameters", "macs")]
        table.add_row(entry["family"], knobs_text, str(entry["classes"]), str(entry["size"]), *counts)
    console = Console()
    console.print(table)
    for family in models.STUDENTS:
        console.print(f"knobs of {family}: {', '.join(knobs_of(family))}", highlight=False)
    console.print(f"teachers: {', '.join(teachers)}", highlight=False)
    for name, names in recipes.items():
        console.print(f"recipe {name}: {', '.join(names)}", highlight=False)


def _open(
    name: str, overrides: list[str], out: Path | None, resume: bool, only: list[str]
) -> tuple[Run, tuple[Student, ...]]:
    _need_torch("training")
    from zoo.learn.recipe import load_recipe
    from zoo.learn.run import Run

    recipe: Recipe = load_recipe(name, overrides)
    known = [student.name for student in recipe.students]
    for wanted in only:
        if wanted not in known:
            raise InputError(
                f"{recipe.name} has no student '{wanted}'; it has: {', '.join(known)}{nearest(wanted, known)}"
            )
    students = tuple(student for student in recipe.students if not only or student.name in only)
    return Run(recipe, out or Path("runs") / recipe.name, resume=resume), students


def _need_torch(purpose: str) -> None:
    try:
        import lightning  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise missing_package(str(error.name), "train", purpose) from None


def _show(run: Run, made: list[Path], as_json: bool) -> None:
    """One row for each checkpoint, on stdout."""
    from zoo.learn.results import summary

    rows: list[dict[str, Any]] = [summary(path) for path in made]
    if as_json:
        typer.echo(json.dumps({"run": str(run.folder), "networks": rows}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("network", "role", "top-1 %", "parameters", "MACs", "training s", "checkpoint", box=None)
    for row in rows:
        table.add_row(
            row["name"],
            row["role"],
            f"{100 * row['top1']:.2f}",
            f"{row['parameters']:,}",
            f"{row['macs']:,}",
            f"{row['seconds']:.0f}" if row["seconds"] is not None else "-",
            row["checkpoint"],
        )
    Console(width=None if Console().is_terminal else 160).print(table)
