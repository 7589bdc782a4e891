"""`zoo bench run`, `report` and `training`; the gate and its kin come from their own room."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.gate.cli import app as gate
from zoo.errors import EnvironmentProblem, InputError, need

app = typer.Typer(no_args_is_help=True)
app.add_typer(gate)

Bundles = Annotated[list[Path] | None, typer.Argument(metavar="BUNDLE...", help="Bundles (name.zoo) to measure.")]


@app.command()
def run(
    bundles: Bundles = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(metavar="run:DIR", help="A trained network, measured in torch eager. Repeatable."),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=PATH]",
            help="Measure beside: onnxruntime-default, openvino-default, torch-compile=RUN, torchvision-pipeline=RUN "
            "(RUN: the folder of the bundle's checkpoint). Repeatable.",
        ),
    ] = None,
    backend: Annotated[str, typer.Option(help="Comma-separated. Default: every one installed.")] = "",
    precision: Annotated[
        str, typer.Option(help="Comma-separated; bf16 on openvino. Default: fp32 and int8, as far as packed.")
    ] = "",
    scope: Annotated[str, typer.Option(help="call: pixels in, numbers out. image: files in, answers out.")] = "call",
    photos: Annotated[Path | None, typer.Option(metavar="DIR", help="Pictures for --scope image.")] = None,
    native: Annotated[
        bool, typer.Option("--native", help="Measure libzoo beside each backend: the loop in C.")
    ] = False,
    batch: Annotated[str, typer.Option(help="Batch sizes, comma-separated.")] = "1,32",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: every core this process may use.")] = None,
    evaluate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Measure accuracy on DIR/CLASS/image, or a file of `zoo export --test-set`."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the results (JSON, raw times kept).")] = None,
    time_limit: Annotated[float, typer.Option(metavar="S", help="Seconds for one batch size of one engine.")] = 2.0,
    passes: Annotated[
        int, typer.Option(min=1, help="Measure everything so often, interleaved, each time in fresh processes.")
    ] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON instead of a table.")] = False,
) -> None:
    """Measure bundles, and teachers beside them, each in a process of its own, and print one table."""
    from bench.cases import Limits
    from bench.native import facts
    from bench.numbers import numbers, words
    from bench.plan import Choices, plan
    from bench.run import run as measure
    from bench.text import terminal

    if not bundles and not teacher and not any("=" in one for one in peer or []):
        raise InputError("nothing to measure: give a bundle, or --teacher run:DIR")
    if time_limit <= 0:
        raise InputError(f"--time-limit must be more than 0 seconds, not {time_limit:g}")
    choices = Choices(
        backends=words(backend),
        precisions=words(precision),
        batches=numbers(batch, "--batch") or [1, 32],
        threads=threads,
        evaluation=evaluate,
        scopes=words(scope) or ["call"],
        photos=photos,
        peers=peer or [],
        native=native,
        limits=Limits(seconds=time_limit),
    )
    results = measure(plan(bundles or [], teacher or [], choices), out=out, passes=passes)
    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        terminal(results)
        for line in facts(results):
            typer.echo(line)
    failed = [row for row in results.rows if row.error]
    if failed:
        first = failed[0]
        which = f"{len(failed)} of {len(results.rows)} rows"
        raise EnvironmentProblem(f"{which} could not be measured; the first is {first.model}: {first.error}")


@app.command()
def report(
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="What `zoo bench run -o` wrote.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: beside the results, as .html.")] = None,
    scope: Annotated[str, typer.Option(help="call or image, where the results have both.")] = "",
) -> None:
    """Write the results as one HTML page that opens offline."""
    from bench.plan import known_scope
    from bench.report import write_report
    from bench.results import read_results

    page = out or results.with_suffix(".html")
    found = read_results(results)
    write_report(found.only(known_scope(scope)) if scope else found, page)
    typer.echo(str(page))


@app.command()
def training(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe by name, or the path of a TOML file.")],
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. data.path=DIR.")] = [],  # noqa: B006  (typer copies it)
    student: Annotated[str, typer.Option(help="Which of the recipe's students (default: the first).")] = "",
    steps: Annotated[int, typer.Option(min=1, help="Training steps in a round.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way has its turn.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Training images a second with no teacher, an online one, and its stored answers, measured in turn."""
    import json

    need("lightning", "torch", extra="train", purpose="training")
    from zoo.learn.pace import paces
    from zoo.learn.recipe import load_recipe

    loaded = load_recipe(recipe, set_)
    found = paces(loaded, loaded.named([student] if student else [])[0], steps=steps, rounds=rounds)
    alone = found[0]
    if as_json:
        typer.echo(json.dumps({pace.way: pace.rounds for pace in found}, indent=2))
        return
    for pace in found:
        low, middle, high = pace.ratio(alone)
        typer.echo(f"{pace.way:<10} {pace.median:9.1f} images/s  {middle:.3f} of no teacher ({low:.3f} to {high:.3f})")
