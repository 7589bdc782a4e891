"""`zoo bench run`: what is measured is said by options or by a suite, and comes out as a table, a file or data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.errors import EnvironmentProblem, InputError
from zoo.tasks.class_order import ClassOrder

if TYPE_CHECKING:
    from bench.cases import Case, Limits
    from bench.results import Results

app = typer.Typer()

WHAT, HOW, OUTPUT = "What is measured", "How it is measured", "What comes out"
USUAL_BATCHES = [1, 32]
FILE = {"metavar": "FILE", "rich_help_panel": OUTPUT}


@app.command()
def run(
    bundles: Annotated[
        list[Path] | None, typer.Argument(metavar="BUNDLE...", help="Bundles (name.zoo) to measure.")
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NETWORK",
            help="A network as its owner runs it: run:DIR, timm:NAME[=WEIGHTS], torchvision:NAME[=WEIGHTS] in torch "
            "eager; onnx:FILE in ONNX Runtime. Repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=NETWORK]",
            help="Measure beside: onnxruntime-default, openvino-default; of a network torch-eager=RUN, "
            "torch-compile=RUN, torchvision-pipeline=RUN (RUN: the folder of the bundle's checkpoint). Repeatable.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    suite: Annotated[
        Path | None,
        typer.Option(metavar="TOML", help="A file that says what is measured, instead.", rich_help_panel=WHAT),
    ] = None,
    backend: Annotated[
        str, typer.Option(help="Comma-separated. Default: every one installed.", rich_help_panel=WHAT)
    ] = "",
    precision: Annotated[
        str,
        typer.Option(
            help="Comma-separated; bf16 on openvino. Default, as far as packed: fp32 and int8 on a CPU, fp32 and fp16 "
            "on a GPU.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    device: Annotated[
        str,
        typer.Option(help="Comma-separated: cpu, cuda, cuda:1, cuda:GPU-<uuid>. Default: cpu.", rich_help_panel=WHAT),
    ] = "",
    scope: Annotated[
        str,
        typer.Option(
            help="Comma-separated. compute: on the device alone. call (default): pixels in, numbers out. image: files "
            "in, predictions out.",
            rich_help_panel=WHAT,
        ),
    ] = "",
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures for --scope image.", rich_help_panel=WHAT)
    ] = None,
    native: Annotated[
        bool,
        typer.Option("--native", help="Measure libzoo beside each backend: the loop in C.", rich_help_panel=WHAT),
    ] = False,
    batch: Annotated[str, typer.Option(help="Batch sizes, comma-separated. Default: 1,32.", rich_help_panel=WHAT)] = "",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Default: every core this process may use.", rich_help_panel=WHAT)
    ] = None,
    variant: Annotated[
        str,
        typer.Option(help="Comma-separated, of a GPU: plain (default), cuda-graph, cold-l2.", rich_help_panel=WHAT),
    ] = "",
    streams: Annotated[
        str,
        typer.Option(help="Numbers of callers at once, as in 1,2,4: throughput at saturation.", rich_help_panel=WHAT),
    ] = "",
    layers: Annotated[
        bool, typer.Option("--layers", help="Time every layer, where the backend says it.", rich_help_panel=WHAT)
    ] = False,
    evaluate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Measure accuracy on DIR/CLASS/image, or a file of `zoo export --test-set`.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON", help="The outputs' names of a teacher from elsewhere, for --evaluate.", rich_help_panel=WHAT
        ),
    ] = None,
    class_order: Annotated[
        ClassOrder | None,
        typer.Option(
            help="Or how they follow DIR's folders: natural (timm: 2 before 10), lexical (torchvision).",
            rich_help_panel=WHAT,
        ),
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="S", help="Seconds for one batch size of one engine (2).", rich_help_panel=HOW),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A first look: a quarter of a second each.", rich_help_panel=HOW)
    ] = False,
    passes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Measure everything so often, interleaved, each time in fresh processes (1).",
            rich_help_panel=HOW,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the results (JSON, raw times kept).", **FILE)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Measure only what --out does not have yet.", rich_help_panel=OUTPUT)
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON instead of a table.", rich_help_panel=OUTPUT)
    ] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Also write one line a row.", **FILE)] = None,
    pytest_json: Annotated[
        Path | None,
        typer.Option("--pytest-benchmark-json", help="Also write what pytest-benchmark would have written.", **FILE),
    ] = None,
) -> None:
    """Measure bundles, and teachers beside them, each in a process of its own, and print one table."""
    from bench.numbers import numbers, words
    from bench.suite.case_list import list_cases
    from bench.suite.choices import QUICK, Choices
    from bench.suite.runner import run as measure

    given = {
        "BUNDLE": bundles,
        "--teacher": teacher,
        "--peer": peer,
        "--backend": backend,
        "--precision": precision,
        "--device": device,
        "--scope": scope,
        "--photos": photos,
        "--batch": batch,
        "--threads": threads,
        "--variant": variant,
        "--streams": streams,
        "--layers": layers,
        "--native": native,
        "--evaluate": evaluate,
        "--labels": labels,
        "--class-order": class_order,
    }
    limits = _limits(time_limit, QUICK if quick else None)
    if suite is not None:
        cases, usual = _of_suite(suite, [option for option, value in given.items() if value], limits)
        passes = passes or usual
    else:
        if not bundles and not teacher and not any("=" in one for one in peer or []):
            raise InputError("nothing to measure: give a bundle, or --teacher run:DIR, or --suite TOML")
        asked = Choices(
            backends=words(backend),
            precisions=words(precision),
            devices=words(device),
            batches=numbers(batch, "--batch") or USUAL_BATCHES,
            threads=threads,
            evaluation=evaluate,
            labels=labels,
            class_order=class_order,
            scopes=words(scope) or ["call"],
            photos=photos,
            variants=words(variant) or Choices.variants,
            streams=numbers(streams, "--streams"),
            layers=layers,
            peers=peer or [],
            native=native,
            limits=limits or Choices().limits,
        )
        cases = list_cases(bundles or [], teacher or [], asked)
    if quick:  # counters of energy tick slowly, and want to be watched for longer than that
        cases = [case.model_copy(update={"energy": False}) for case in cases]
    results = measure(cases, out=out, passes=passes or 1, resume=resume)
    _show(results, as_json=as_json, csv=csv, pytest_json=pytest_json)


def _limits(time_limit: float | None, quick: Limits | None) -> Limits | None:
    from bench.cases import Limits

    if time_limit is None:
        return quick
    if quick is not None:
        raise InputError("--quick and --time-limit exclude each other")
    if time_limit <= 0:
        raise InputError(f"--time-limit must be more than 0 seconds, not {time_limit:g}")
    return Limits(seconds=time_limit)


def _of_suite(path: Path, given: list[str], limits: Limits | None) -> tuple[list[Case], int]:
    """The cases of a suite, and its passes. It says by itself what is measured; options say how."""
    from bench.suite.file import read_suite

    if given:
        raise InputError(f"{given[0]} and --suite exclude each other: write it into {path}")
    suite = read_suite(path)
    return suite.plan(limits), suite.passes


def _show(results: Results, *, as_json: bool, csv: Path | None, pytest_json: Path | None) -> None:
    """Print and write what was measured. `EnvironmentProblem` when some of it could not be."""
    from bench.show.flat import to_csv
    from bench.show.pytest_json import to_pytest_benchmark
    from bench.show.text import terminal
    from bench.subjects.native import facts
    from zoo.files import write_text

    if as_json:
        typer.echo(results.to_json(), nl=False)
    else:
        terminal(results)
        for line in facts(results):
            typer.echo(line)
    if csv is not None:
        write_text(csv, to_csv(results))
    if pytest_json is not None:
        write_text(pytest_json, to_pytest_benchmark(results))
    failed = [row for row in results.rows if row.error]
    if failed:
        first = failed[0]
        which = f"{len(failed)} of {len(results.rows)} rows"
        raise EnvironmentProblem(f"{which} could not be measured; the first is {first.model}: {first.error}")
