"""`zoo bench gate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.errors import InputError

if TYPE_CHECKING:
    from bench.gate.config import GateConfig
    from bench.gate.receipt import Receipt

app = typer.Typer()

AsJson = Annotated[bool, typer.Option("--json", help="Print the same as JSON.")]
File = Annotated[Path | None, typer.Option(metavar="FILE")]


@app.command()
def gate(
    baseline: Annotated[
        Path | None, typer.Option(help="A bundle, an ONNX file, a results file or a folder of results.")
    ] = None,
    candidate: Annotated[Path | None, typer.Option(help="The same kind of thing, to be judged.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="TOML", help="A file with [tool.zoo.gate]. Default: ./pyproject.toml.")
    ] = None,
    only: Annotated[
        str, typer.Option(metavar="PATTERN", help="Only benchmarks whose name matches, as in 'onnxruntime*'.")
    ] = "",
    allow_missing: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="This benchmark of the baseline may be gone (repeatable; a pattern, too)."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The receipt, raw rounds kept.")] = Path("gate.json"),
    markdown: File = None,
    junit: File = None,
    sarif: File = None,
    annotate: Annotated[bool, typer.Option("--annotate", help="Print GitHub's ::error lines.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Inconclusive is exit 1 instead of 3.")] = False,
    inject: Annotated[
        float, typer.Option(metavar="SHARE", min=0, max=10, help="Slow the candidate down by this share, as a trial.")
    ] = 0.0,
    read: Annotated[
        Path | None, typer.Option(metavar="GATE.json", help="Show a receipt again instead of measuring.")
    ] = None,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="How often is the gate wrong? Replays stored rounds.")
    ] = False,
    rounds: Annotated[
        Path | None, typer.Option(metavar="GATE.json", help="With --self-test: a recording of your own.")
    ] = None,
    record: Annotated[
        int | None,
        typer.Option(metavar="PAIRS", min=1, help="Measure so many process pairs of the baseline beside itself."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a candidate: exit 0 pass, 1 regression, 2 bad input, 3 inconclusive, 4 the machine cannot tell."""
    from bench.gate.config import read_config
    from bench.gate.receipt import read_receipt, save
    from bench.gate.show import github_lines
    from bench.gate.show import junit as junit_of
    from bench.gate.show import markdown as markdown_of
    from bench.gate.verdict import raise_for
    from zoo.errors import Inconclusive, VerdictError

    if self_test:
        _self_test(rounds, as_json)
        return
    if read is not None:
        receipt = read_receipt(read)
    else:
        if baseline is None or (candidate is None and record is None):
            raise InputError("give --baseline and --candidate (or --self-test, or --read GATE.json)")
        receipt = _measure(
            baseline,
            candidate,
            read_config(config),
            out,
            only=only,
            allow_missing=allow_missing or [],
            inject=inject,
            record=record,
        )
    for path, text in ((markdown, markdown_of), (junit, junit_of), (sarif, _sarif)):
        if path is not None:
            save(path, text(receipt))
    if annotate:
        for line in github_lines(receipt):
            typer.echo(line, err=as_json)
    typer.echo(receipt.to_json() if as_json else markdown_of(receipt), nl=False)
    if record is not None:
        return
    try:
        raise_for(receipt)
    except Inconclusive as doubt:
        if strict:
            raise VerdictError(str(doubt)) from None
        raise


def _sarif(receipt: Receipt) -> str:
    from bench.gate.sarif import sarif

    return sarif(receipt)


def _measure(
    baseline: Path,
    candidate: Path | None,
    config: GateConfig,
    out: Path,
    *,
    only: str,
    allow_missing: Sequence[str],
    inject: float,
    record: int | None,
) -> Receipt:
    from bench.gate.from_results import judge
    from bench.gate.run import run
    from bench.gate.runners import kind_of

    other = candidate or baseline
    kinds = {kind_of(path) for path in (baseline, other)}
    if kinds == {"results"}:
        if only:
            raise InputError("--only chooses benchmarks, and results are judged row by row")
        if inject or record:
            raise InputError("results were measured before: --inject and --record need bundles or ONNX files")
        return judge(baseline, other, config, out=out, allow_missing=allow_missing)
    return run(baseline, other, config, out=out, injected=inject, pairs=record, only=only, allow_missing=allow_missing)


def _self_test(rounds: Path | None, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from bench.gate.error_rates.replay import REPLAYS, judge, replay, stored, table

    receipt = stored(rounds)
    entry = receipt.entries[0]
    lines = replay(entry.pairs)
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines], indent=1))
    else:
        typer.echo(table(lines))
        typer.echo(
            f"{REPLAYS} replays of each, from {len(entry.pairs)} process pairs of {entry.title}, recorded "
            f"{receipt.created:%Y-%m-%d} on {receipt.host.summary}"
        )
    judge(lines)
