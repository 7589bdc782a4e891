"""`zoo scores`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import EnvironmentProblem, need

app = typer.Typer()


@app.command()
def scores(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that `zoo train|distill` wrote.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="JSON", help="Write the same as data.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="MD", help="Write the table.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data instead of the table.")] = False,
) -> None:
    """What several runs reached, seeds folded into mean and standard deviation: networks down, methods across."""
    need("lightning", "torch", extra="train", purpose="reading a run")
    from zoo.files import write_text
    from zoo.learn.run.scores import scores as lines_of
    from zoo.learn.run.scores import table

    lines = lines_of(runs)
    data = json.dumps([line.as_dict() for line in lines], indent=1) + "\n"
    for path, text in ((out, data), (markdown, table(lines))):
        if path is not None:
            try:
                write_text(path, text)
            except OSError as error:
                raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error
    typer.echo(data if as_json else table(lines), nl=False)
