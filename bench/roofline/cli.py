"""`zoo bench roofline`."""

from __future__ import annotations

from typing import Annotated

import typer

from zoo.errors import InputError
from zoo.progress import note

app = typer.Typer()
BUSY = 0.5  # load average, as `Host` has it


@app.command()
def roofline(
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[str, typer.Option(help="Numbers of threads, comma-separated (default: 1 and all cores).")] = "",
    show: Annotated[bool, typer.Option("--show", help="Print what was measured before, and measure nothing.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Remove what was measured before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ceilings as JSON.")] = False,
) -> None:
    """Measure what this machine can do at all, which `zoo bench run` then compares its rows with."""
    from bench.host import this_host
    from bench.numbers import numbers
    from bench.roofline import store
    from bench.roofline.measure import measure
    from bench.roofline.text import report

    if show and forget:
        raise InputError("--show and --forget exclude each other")
    host = this_host()
    if forget:
        typer.echo("this machine's ceilings: forgotten" if store.forget(host) else "nothing was kept for this machine")
        return
    known = store.find(host)
    if not show:
        if host.load_average > BUSY:
            note(f"others are at work here (load {host.load_average:g}): these ceilings may be too low")
        known = store.joined(known, measure(host, device=device, threads=numbers(threads, "--threads")))
        path = store.keep(host, known)
    if known is None:
        raise InputError("this machine's ceilings were not measured: zoo bench roofline")
    typer.echo(known.model_dump_json(indent=2, by_alias=True) if as_json else report(known))
    if not (show or as_json):
        typer.echo(f"\nKept for `zoo bench run` in {path}")
