"""`zoo triton`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def triton(
    bundle: Annotated[Path, typer.Argument(help="A bundle: NAME.zoo.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model repository; others' models in it stay.")],
    precision: Annotated[str, typer.Option(help="Which of the bundle's graphs.")] = "fp32",
    device: Annotated[str, typer.Option(help="cpu, or cuda: a TensorRT plan if one is built, else the graph.")] = "cpu",
    max_batch: Annotated[
        int | None, typer.Option(min=1, help="Most images at once (32, or what graph or plan takes).")
    ] = None,
    instances: Annotated[int, typer.Option(min=1, help="How many copies answer at the same time.")] = 1,
    queue_delay: Annotated[
        int, typer.Option(min=0, metavar="US", help="Microseconds that a request waits for others to join its batch.")
    ] = 100,
    engine: Annotated[str, typer.Option(help="Which folder of engines/, where several plans would do.")] = "",
) -> None:
    """Write a model repository for NVIDIA's Triton inference server."""
    from export.triton import Serving, write
    from zoo.engines import Bundle

    serving = Serving(precision, device, max_batch, instances, queue_delay, engine)
    served = write(Bundle.open(bundle), out, serving)
    typer.echo(f"{served.file}: {precision} on {device}, up to {served.max_batch} images at once")
    if served.plan is not None and served.plan.about is not None:
        about = served.plan.about
        typer.echo(f"  built by TensorRT {about.library} on {about.processor.name}: the server needs the same")
    typer.echo(f"  tritonserver --model-repository={out.resolve()}")
