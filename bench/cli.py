"""`zoo bench`: its commands, each from its own file; `report`, `schema` and `training` are here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.campaign.cli import app as campaign
from bench.gate.cli import app as gate
from bench.history.cli import app as history
from bench.roofline.cli import app as roofline
from bench.show.cli import app as show
from bench.suite.cli import app as run
from zoo.errors import need

app = typer.Typer(no_args_is_help=True)
app.add_typer(run)
app.add_typer(gate)
app.add_typer(history)
app.add_typer(campaign)
app.add_typer(show)
app.add_typer(roofline)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(metavar="RESULTS.json", help="What `zoo bench run -o` wrote.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Default: beside the results, as .html.")] = None,
    scope: Annotated[str, typer.Option(help="Show this scope only. Default: each on a tab of its own.")] = "",
    gate: Annotated[
        Path | None, typer.Option(metavar="GATE.json", help="Show what `zoo bench gate` found, too.")
    ] = None,
) -> None:
    """Write the results as one HTML page that opens offline."""
    from bench.gate.receipt import read_receipt
    from bench.page.report import write_report
    from bench.results import read_results
    from bench.suite.choices import known_scope

    page = out or results.with_suffix(".html")
    found = read_results(results)
    receipt = read_receipt(gate) if gate is not None else None
    write_report(found.only(known_scope(scope)) if scope else found, page, receipt)
    typer.echo(str(page))


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help="zoo.bench-1 (results), zoo.gate-1 (receipts) or zoo.suite-1.")] = (
        "zoo.bench-1"
    ),
) -> None:
    """Print the JSON Schema of a file that this program writes or reads."""
    from bench.schema import schema as text_of

    typer.echo(text_of(name), nl=False)


@app.command()
def training(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe by name, or the path of a TOML file.")],
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. data.path=DIR.")] = [],  # noqa: B006  (typer copies it)
    student: Annotated[str, typer.Option(help="Which of the recipe's students (default: the first).")] = "",
    steps: Annotated[int, typer.Option(min=1, help="Training steps in a round.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way has its turn.")] = 7,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Training images a second with no teacher, an online one, and its stored logits, measured in turn."""
    import json

    need("lightning", "torch", extra="train", purpose="training")
    from bench.training.throughput import training_throughput
    from zoo.learn.recipe.schema import load_recipe

    loaded = load_recipe(recipe, set_)
    found = training_throughput(loaded, loaded.named([student] if student else [])[0], steps=steps, rounds=rounds)
    alone = found[0]
    if as_json:
        typer.echo(json.dumps({each.way: each.rounds for each in found}, indent=2))
        return
    for each in found:
        low, middle, high = each.ratio(alone)
        typer.echo(f"{each.way:<10} {each.median:9.1f} images/s  {middle:.3f} of no teacher ({low:.3f} to {high:.3f})")
