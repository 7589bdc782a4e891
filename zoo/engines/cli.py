"""`zoo predict` and `zoo verify`: what an app's developer needs, with the base package alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from zoo.engines.registry import BACKENDS
from zoo.errors import InputError, VerdictError

app = typer.Typer()

BundlePath = Annotated[Path, typer.Argument(help="A bundle: NAME.zoo.")]
BackendName = Annotated[
    str,
    typer.Option(help=f"{', '.join(BACKENDS)}; several in order of preference: a,b."),
]


@app.command()
def predict(
    bundle: BundlePath,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    backend: Annotated[
        str | None, typer.Option(help="onnxruntime, openvino ... With nothing asked: what `zoo tune` chose, if it ran.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="One of the bundle's graphs (fp32), or with openvino bf16.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu (default) or cuda.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads (default: all that may be used).")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to print.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Labels and scores, or points, of images. Those that cannot be read are named, and the exit code is 2."""
    from zoo.engines import load

    engine = load(bundle, backend=backend, precision=precision, device=device, threads=threads)
    results: list[dict[str, object]] = []
    failures: list[str] = []
    for image, prediction in zip(images, engine.predict_many(images), strict=True):
        if isinstance(prediction, InputError):
            failures.append(str(prediction))
            continue
        results.append({"image": str(image), **prediction.as_dict(top)})
        if not as_json:
            typer.echo(f"{image}: {prediction.text(top)}")
    if as_json:
        typer.echo(json.dumps({"engine": engine.describe(), "results": results}, indent=2, ensure_ascii=False))
    if failures:
        raise InputError("; ".join(failures))


@app.command()
def verify(
    bundle: BundlePath,
    backend: BackendName = "onnxruntime",
    signed: Annotated[
        bool, typer.Option("--signature", help="Also check who signed it, with --public-key: exit 1 if it was changed.")
    ] = False,
    public_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The signer's public key, got from somewhere you trust.")
    ] = None,
) -> None:
    """Check every file's hash and run the self-test of every graph. Exit 1 if an output is off, 2 if a file is."""
    from zoo.bundle import sidecar
    from zoo.engines import Bundle, selftest

    opened = Bundle.open(bundle)
    if signed or public_key is not None:
        _check_signature(bundle, public_key)
    count = opened.check_files()
    typer.echo(f"{bundle}: {count} files are as the manifest says")
    for engine, reason in sidecar.review(bundle):
        typer.echo(f"  engines/{engine}: {f'stale, {reason}' if reason else 'the file that was built'}")
    outcomes = selftest.run(opened, backend=backend)
    for outcome in outcomes:
        word = "passed" if outcome.passed else "FAILED"
        typer.echo(
            f"  {outcome.precision} on {backend}: {word}, "
            f"largest difference {outcome.difference:.3g} of {outcome.tolerance:g} allowed"
        )
    bad = [outcome.precision for outcome in outcomes if not outcome.passed]
    if bad:
        raise VerdictError(f"{bundle}: the self-test of {', '.join(bad)} failed on {backend}")


def _check_signature(bundle: Path, public_key: Path | None) -> None:
    from zoo.bundle import signature

    if public_key is None:
        raise InputError("--signature needs --public-key PEM: without the signer's key a signature proves nothing")
    signature.verify(bundle, public_key)
    typer.echo(f"{bundle}: signed by the holder of {public_key}, engines/ apart")
