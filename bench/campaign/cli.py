"""`zoo bench campaign`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import InputError

app = typer.Typer()


@app.command()
def campaign(
    name: Annotated[
        str,
        typer.Argument(help="A shipped campaign (h200, first_look, cpu_engines, smoke), or the path of a TOML file."),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Its folder (default: runs/NAME): {out} in the file.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder of the data sets: {data} in the file.")] = Path("data"),
    results: Annotated[
        Path | None, typer.Option(help="Where tables and pages go (default: OUT/results): {results} in the file.")
    ] = None,
    only: Annotated[str, typer.Option(metavar="PATTERN", help="Only these steps, as in 'cifar10-*'.")] = "",
    slice_seconds: Annotated[
        float | None, typer.Option("--slice", metavar="S", help="Stop after so many seconds; the same command goes on.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Steps at once, of those that need not be alone.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps and how long they take.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the steps and their state as JSON.")] = False,
) -> None:
    """Train, export and measure what a file lists. Exit 0 all settled, 1 a step failed, 3 more to do."""
    import json
    from fnmatch import fnmatchcase

    from bench.campaign import text
    from bench.campaign.child import GRACE
    from bench.campaign.config import load, path_of, steps
    from bench.campaign.run import WORTH_STARTING, Runner, known

    if slice_seconds is not None and slice_seconds < GRACE + WORTH_STARTING:
        raise InputError(f"--slice must be at least {GRACE + WORTH_STARTING:g} seconds, not {slice_seconds:g}")
    title = Path(name).stem
    folder = out or Path("runs") / title
    file = path_of(name)
    places = {"out": folder, "data": data, "results": results or folder / "results", "file": file}
    every = steps(load(file), places)
    chosen = [step for step in every if not only or fnmatchcase(step.name, only)]
    if not chosen:
        raise InputError(f"no step matches '{only}'; there are: {', '.join(step.name for step in every)}")
    if dry_run:
        progress = known(chosen, folder)
        typer.echo(
            json.dumps(text.as_data(chosen, progress), indent=1)
            if as_json
            else text.listing(chosen, progress, slice_seconds)
        )
        return
    only_these = {step.name for step in chosen}
    progress = Runner(title, every, folder, seconds=slice_seconds, only=only_these, jobs=jobs).run()
    typer.echo(json.dumps(text.as_data(every, progress), indent=1) if as_json else text.summary(every, progress))
    text.raise_for({step.name: progress[step.name] for step in chosen})
