"""`zoo build`."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.errors import InputError, missing_package, nearest

if TYPE_CHECKING:
    from export.build.request import BuildFunction
    from zoo.bundle.sidecar import Sidecar
    from zoo.engines.backend import Backend, Builder

app = typer.Typer()


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="A bundle: NAME.zoo.")],
    backend: Annotated[
        str, typer.Option(help="One that runs what is built for it; an unknown name lists them all.", metavar="NAME")
    ],
    precision: Annotated[
        str | None, typer.Option(help="One that is built for the backend (its usual one); an unknown one lists them.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            help="MIN,OPT,MAX images: what is taken, where it is fastest (1,8,32; onnxruntime-winograd: all that the "
            "bundle takes)."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda, where the backend is built for both (its usual one).")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="aotinductor, fused or not: the folder of the training that the bundle was exported from."),
    ] = None,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="tensorrt: a plan for every GPU from Ampere on; slower.")
    ] = False,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="tensorrt: a plan that later versions load; can be slower.")
    ] = False,
    plan_ratio: Annotated[
        float | None, typer.Option(help="tensorrt: largest fp16 or int8 plan, as a share of the fp32 plan (0.65).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the engine's sidecar as JSON.")] = False,
) -> None:
    """Build an engine for this machine into the bundle. Exit 1 if its precision or logits are not proven."""
    from export.build.request import Request
    from zoo.bundle.bundle import Bundle

    kind, builder = _buildable(backend)
    builds = tuple(dict.fromkeys(name for names in builder.precisions.values() for name in names))
    precision = precision or builder.precisions[kind.devices[0]][0]
    if precision not in (*builds, *builder.synonyms):
        raise InputError(f"{backend} builds {', '.join(builds)}, not '{precision}'")
    options = {
        "checkpoint": checkpoint,
        "hardware_compatible": hardware_compatible,
        "version_compatible": version_compatible,
        "plan_ratio": plan_ratio,
    }
    for name, value in options.items():
        if name not in builder.options and value is not None and value is not False:
            raise InputError(f"--{name.replace('_', '-')} means nothing for {backend}")
    device = device or kind.devices[0]
    if device not in builder.precisions:
        raise InputError(f"{backend} builds for {' and '.join(builder.precisions)}, not for device '{device}'")
    request = Request(
        backend,
        precision,
        None if batch is None else _batch(batch),
        device,
        checkpoint=checkpoint,
        hardware_compatible=hardware_compatible,
        version_compatible=version_compatible,
        plan_ratio=plan_ratio,
    )
    opened = Bundle.open(bundle)
    about, built = _maker(backend, builder)(opened, request)
    if as_json:
        typer.echo(json.dumps(about.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False))
        return
    _show(bundle, about, built)


def _buildable(backend: str) -> tuple[type[Backend], Builder]:
    """A backend's class, and how its engines are built. `InputError` for one that needs no build or is unknown."""
    from zoo.engines.registry import backend_class, built, names

    if backend in names():
        kind = backend_class(backend)
        if kind.builder is not None:
            return kind, kind.builder
    known = built()
    raise InputError(f"nothing to build for '{backend}'; there are: {', '.join(known)}{nearest(backend, known)}")


def _maker(backend: str, builder: Builder) -> BuildFunction:
    module, _, function = builder.maker.partition(":")
    try:
        found: BuildFunction = getattr(import_module(module), function)
    except ImportError as error:
        raise missing_package(str(error.name), builder.extra, f"zoo build --backend {backend}") from None
    return found


def _show(bundle: Path, about: Sidecar, built: bool) -> None:
    word = "built" if built else "up to date"
    typer.echo(f"{bundle}: {about.backend} {about.precision} for {about.processor.name}: {word}")
    typer.echo(f"  {about.artefact.bytes:,} bytes, batches of {about.batch[0]} to {about.batch[2]}")
    if about.selftest is not None:
        difference, tolerance = about.selftest.difference, about.selftest.tolerance
        typer.echo(f"  self-test: largest difference {difference:.3g} of {tolerance:g} allowed")
    if about.proof is not None:
        proof = about.proof
        typer.echo(f"  {proof['proven']} of {proof['layers']} convolutions and matrix products in {proof['kind']}")
    typer.echo(
        f'  zoo.load("{bundle}", backend="{about.backend}", precision="{about.precision}", device="{about.device}")'
    )


def _batch(text: str) -> tuple[int, int, int]:
    """`1,8,32` as three numbers."""
    words = text.split(",")
    if len(words) != 3 or not all(word.strip().isdigit() for word in words):
        raise InputError(f"--batch is MIN,OPT,MAX, three numbers as 1,8,32, not '{text}'")
    fewest, best, most = (int(word) for word in words)
    return fewest, best, most
