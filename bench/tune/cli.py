"""`zoo tune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import InputError, nearest

app = typer.Typer()


@app.command()
def tune(
    bundle: Annotated[Path, typer.Argument(help="A bundle: NAME.zoo.")],
    aim: Annotated[str, typer.Option("--for", help="latency (of one call) or throughput (images a second).")] = (
        "latency"
    ),
    max_drop: Annotated[
        float | None,
        typer.Option(help="Accuracy that may be lost against fp32: points, for keypoints pixels (0.5; pixels 0.05)."),
    ] = None,
    max_memory: Annotated[float | None, typer.Option(metavar="MB", help="Peak memory of the process.")] = None,
    batch: Annotated[str, typer.Option(help="Batch sizes (latency: 1; throughput: 1,8,32).")] = "",
    threads: Annotated[str, typer.Option(help="Numbers of threads (1, 2, 4 ... and all cores).")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    evaluate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Labelled images: DIR/CLASS/image, or a file of `zoo export --test-set`."),
    ] = None,
    passes: Annotated[int, typer.Option(min=1, help="Measure everything so often, interleaved.")] = 3,
    time_limit: Annotated[float, typer.Option(metavar="S", help="Seconds for one batch size in one pass.")] = 1.0,
    show: Annotated[bool, typer.Option("--show", help="Print what was chosen before, and measure nothing.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Remove what was chosen before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Find the fastest engine here that keeps its accuracy; `zoo.load` then uses it. Exit 1 if none does."""
    from bench.numbers import numbers
    from bench.suite.choices import DEVICE
    from bench.tune import text
    from bench.tune.candidates import Requirements
    from bench.tune.tune import choice
    from bench.tune.tune import tune as measure
    from zoo.bundle import tuned
    from zoo.engines import Bundle
    from zoo.tasks.registry import TASKS

    if show and forget:
        raise InputError("--show and --forget exclude each other")
    opened = Bundle.open(bundle)
    if forget:
        typer.echo(f"{bundle}: forgotten" if tuned.forget(opened) else f"{bundle}: nothing was kept")
        return
    if show:
        known = tuned.find(opened)
        if known is None:
            raise InputError(f"{bundle} was not tuned on this machine as it is now: zoo tune {bundle}")
        typer.echo(known.model_dump_json(indent=2, by_alias=True) if as_json else text.chosen(known))
        return
    if aim not in ("latency", "throughput"):
        raise InputError(f"--for {aim}: there are latency and throughput{nearest(aim, ('latency', 'throughput'))}")
    if not DEVICE.fullmatch(device):
        raise InputError(f"no device '{device}'; write cpu, cuda, cuda:1 or cuda:GPU-<uuid>")
    if time_limit <= 0 or (max_memory is not None and max_memory <= 0) or (max_drop is not None and max_drop < 0):
        raise InputError("--time-limit and --max-memory must be more than 0, --max-drop at least 0")
    requirements = Requirements(
        aim="throughput" if aim == "throughput" else "latency",
        max_drop=TASKS[opened.manifest.task].budget / 2 if max_drop is None else max_drop,
        max_memory=None if max_memory is None else round(max_memory * 1e6),
        batches=numbers(batch, "--batch"),
        threads=numbers(threads, "--threads"),
        evaluation=evaluate,
        device=device,
        passes=passes,
        seconds=time_limit,
    )
    tuning = measure(opened, requirements)
    if not as_json:
        typer.echo(text.report(tuning))
    elif tuning.best is None:
        typer.echo(json.dumps({**text.as_dict(tuning), "chosen": None}, indent=2, ensure_ascii=False))
    found = choice(tuning)
    path = tuned.keep(opened, found)
    if as_json:
        data = {**text.as_dict(tuning), "chosen": found.model_dump(mode="json", by_alias=True), "kept": str(path)}
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        typer.echo(f"\nChosen: {text.chosen(found)}\nKept for `zoo.load` in {path}")
