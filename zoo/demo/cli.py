"""`zoo demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import missing_package

app = typer.Typer()


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write; it is made anew.")] = Path("runs/demo"),
) -> None:
    """The whole line on real handwritten digits, in a few minutes: train, distil, export, verify, measure, report."""
    try:
        from bench.show.text import terminal
        from zoo.demo.demo import run_demo
    except ImportError as error:
        raise missing_package(str(error.name), "all", "zoo demo") from None
    found = run_demo(out)
    terminal(found.best)
    for claim, holds in found.checks.items():
        typer.echo(f"{'yes' if holds else 'NO '}  {claim}")
    student = next(member for member in found.members if member.role == "student")
    typer.echo(f"\nDone in {found.seconds:.0f} s. All engines and the plots: {out / 'report.html'}\n\nTry next:")
    typer.echo(f"  zoo predict {student.bundle} {' '.join(str(path) for path in found.samples[:3])}")
    typer.echo(f"  zoo verify {student.bundle}")
    typer.echo("  zoo distill imagefolder --set data.path=DIR     # your own pictures, DIR/CLASS/*.jpg")
