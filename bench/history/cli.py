"""`zoo bench compare` and `zoo bench history`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import InputError

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print the same as JSON.")]


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="What `zoo bench run -o` wrote.")],
    after: Annotated[Path, typer.Argument(metavar="B.json")],
    as_json: AsJson = False,
) -> None:
    """Two results side by side, of one machine and the same scopes. Advisory: see `zoo bench gate` for a verdict."""
    import json

    from bench.history.compare import compare as rows_of
    from bench.history.compare import data, text
    from bench.results import read_results

    rows = rows_of(read_results(before), read_results(after))
    typer.echo(json.dumps(data(rows), indent=1) + "\n" if as_json else text(rows), nl=False)


@app.command()
def history(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of results files.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The page. Default: DIR/history.html.")] = None,
    as_json: AsJson = False,
) -> None:
    """Plot results over time as one HTML page and mark where a time took a step. Advisory."""
    import json

    from bench.history.history import data, read_folder, text, write_page
    from bench.history.history import history as series_of

    series = series_of(read_folder(folder))
    if not series:
        raise InputError(f"{folder}: no row was measured, every one has an error")
    write_page(series, out or folder / "history.html")
    typer.echo(json.dumps(data(series), indent=1) + "\n" if as_json else text(series), nl=False)
