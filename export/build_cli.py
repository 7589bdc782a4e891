"""`zoo build`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.errors import InputError, missing_package, nearest

if TYPE_CHECKING:
    from zoo.bundle.sidecar import Sidecar
    from zoo.engines import Bundle

app = typer.Typer()

PRECISIONS = {
    "tensorrt": ("fp16", "int8", "fp32"),
    "aotinductor": ("fp32", "fp16", "bf16"),
    "aotinductor-fused": ("fp16",),
    "onnxruntime-winograd": ("int8",),
}  # the first is the usual one
BATCH = (1, 8, 32)


@app.command()
def build(
    bundle: Annotated[Path, typer.Argument(help="A bundle: NAME.zoo.")],
    backend: Annotated[str, typer.Option(help="tensorrt, aotinductor, aotinductor-fused or onnxruntime-winograd.")],
    precision: Annotated[
        str | None,
        typer.Option(
            help="tensorrt: fp16 (default), int8, fp32; aotinductor: fp32 (default), bf16, fp16; -fused: fp16; "
            "onnxruntime-winograd: int8."
        ),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            help="MIN,OPT,MAX images: what is taken, where it is fastest (1,8,32; onnxruntime-winograd: all that the "
            "bundle takes)."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="aotinductor: cpu (default) or cuda. onnxruntime-winograd: cpu. The others: cuda."),
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
    """Build an engine for this machine into the bundle. Exit 1 if its precision or answers are not proven."""
    from zoo.engines import Bundle
    from zoo.engines.backend import DEVICES

    if backend not in PRECISIONS:
        known = tuple(PRECISIONS)
        raise InputError(f"nothing to build for '{backend}'; there are: {', '.join(known)}{nearest(backend, known)}")
    precision = precision or PRECISIONS[backend][0]
    if precision not in {*PRECISIONS[backend], "int8s" if backend == "tensorrt" else ""}:
        raise InputError(f"{backend} builds {', '.join(PRECISIONS[backend])}, not '{precision}'")
    only_tensorrt = {
        "--hardware-compatible": hardware_compatible,
        "--version-compatible": version_compatible,
        "--plan-ratio": plan_ratio is not None,
    }
    opened, counts = Bundle.open(bundle), None if batch is None else _batch(batch)
    if backend == "tensorrt":
        _refuse({"--checkpoint": checkpoint is not None, "--device": device not in {None, "cuda"}}, backend)
        about, built = _tensorrt(
            opened, precision, counts or BATCH, hardware_compatible, version_compatible, plan_ratio
        )
    elif backend == "onnxruntime-winograd":
        device_given = device not in {None, "cpu"}
        _refuse(only_tensorrt | {"--checkpoint": checkpoint is not None, f"--device {device}": device_given}, backend)
        about, built = _winograd(opened, counts)
    else:
        _refuse(only_tensorrt, backend)
        about, built = _aotinductor(
            opened, backend, precision, counts or BATCH, device or DEVICES.get(backend, "cpu"), checkpoint
        )
    if as_json:
        typer.echo(json.dumps(about.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False))
        return
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


def _tensorrt(
    bundle: Bundle, precision: str, batch: tuple[int, int, int], hardware: bool, version: bool, ratio: float | None
) -> tuple[Sidecar, bool]:
    try:
        from export.build.tensorrt.build import PLAN_RATIO
        from export.build.tensorrt.build import build as build_plan
        from export.build.tensorrt.compiler import Options
    except ImportError as error:
        raise missing_package(str(error.name), "export,tensorrt", "zoo build --backend tensorrt") from None
    options = Options(batch, hardware_compatible=hardware, version_compatible=version)
    return build_plan(bundle, precision, options, plan_ratio=PLAN_RATIO if ratio is None else ratio)


def _aotinductor(
    bundle: Bundle, backend: str, precision: str, batch: tuple[int, int, int], device: str, checkpoint: Path | None
) -> tuple[Sidecar, bool]:
    if checkpoint is None:
        raise InputError(f"{backend} compiles the torch network: --checkpoint names the folder it was trained in")
    try:
        from export.build.aotinductor import build as build_package
    except ImportError as error:
        raise missing_package(str(error.name), "train,export", f"zoo build --backend {backend}") from None
    return build_package(bundle, checkpoint, precision, device=device, batch=batch, backend=backend)


def _winograd(bundle: Bundle, batch: tuple[int, int, int] | None) -> tuple[Sidecar, bool]:
    try:
        from export.build.winograd.build import build as build_graph
    except ImportError as error:
        raise missing_package(str(error.name), "export", "zoo build --backend onnxruntime-winograd") from None
    return build_graph(bundle, batch)


def _batch(text: str) -> tuple[int, int, int]:
    """`1,8,32` as three numbers."""
    words = text.split(",")
    if len(words) != 3 or not all(word.strip().isdigit() for word in words):
        raise InputError(f"--batch is MIN,OPT,MAX, three numbers as 1,8,32, not '{text}'")
    fewest, best, most = (int(word) for word in words)
    return fewest, best, most


def _refuse(given: dict[str, bool], backend: str) -> None:
    for option, there in given.items():
        if there:
            raise InputError(f"{option} means nothing for {backend}")
