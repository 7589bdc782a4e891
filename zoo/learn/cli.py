"""`zoo train`, `zoo distill`. Heavy imports happen inside the commands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.errors import need

if TYPE_CHECKING:
    from zoo.learn.recipe.schema import Recipe, Student
    from zoo.learn.run.run import Run

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
    _show(run, made, {} if teacher else {"control": run.combined_scores("control")}, as_json)


@app.command()
def distill(
    recipe: RecipeName,
    set_: Settings = [],  # noqa: B006
    out: Out = None,
    resume: Resume = False,
    only: Only = [],  # noqa: B006
    control: Annotated[
        bool, typer.Option(help="Train each student without the teacher, too; --no-control where another run has it.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """A teacher, then for each student a control without it and a student that learns from it."""
    run, students = _open(recipe, set_, out, resume, only, distils=True)
    made: list[Path | dict[str, Any]] = [run.teacher_row()]
    for student in students:
        made += [run.compared(run.control(student))] if control else []
        made.append(run.distilled(student))
    _show(run, made, {"control": run.combined_scores("control"), "student": run.combined_scores("student")}, as_json)


def _open(
    name: str, overrides: list[str], out: Path | None, resume: bool, only: list[str], *, distils: bool = False
) -> tuple[Run, tuple[Student, ...]]:
    need("lightning", "torch", extra="train", purpose="training")
    from zoo.learn.recipe.schema import load_recipe

    recipe: Recipe = load_recipe(name, overrides)
    students = recipe.named(only)
    from zoo.learn.run.run import Run  # after what the recipe itself can be refused for: torch takes seconds

    return Run(recipe, out or Path("runs") / recipe.name, resume=resume, distils=distils), students


def _show(
    run: Run, made: Sequence[Path | dict[str, Any]], combined: dict[str, dict[str, float] | None], as_json: bool
) -> None:
    """Print a row for each checkpoint, or as it is given, and the combined scores of specialists. Of several processes
    one prints.
    """
    from zoo.learn.run.environment import first_process
    from zoo.learn.run.results import summary

    if not first_process():
        return
    rows: list[dict[str, Any]] = [summary(path) if isinstance(path, Path) else path for path in made]
    if as_json:
        typer.echo(json.dumps({"run": str(run.folder), "networks": rows, "together": combined}, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("network", "role", "score", "parameters", "MACs", "training s", "checkpoint", box=None)
    for row in rows:
        table.add_row(
            row["name"],
            row["role"],
            row["shown"],
            *(f"{row[key]:,}" if row[key] is not None else "-" for key in ("parameters", "macs")),
            f"{row['seconds']:.0f}" if row["seconds"] is not None else "-",
            row["checkpoint"],
        )
    Console(width=None if Console().is_terminal else 160).print(table)
    for role, scores in combined.items():
        if scores:
            metric = run.task.metric
            typer.echo(f"specialists together ({role}): {metric} {run.task.shown(scores[metric])}")
