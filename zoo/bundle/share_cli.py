"""`zoo inspect`, `zoo push` and `zoo pull`: a bundle on its way to other people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

BundlePath = Annotated[Path, typer.Argument(help="A bundle: NAME.zoo.")]
Repository = Annotated[str, typer.Argument(help="OWNER/NAME on the hub that HF_ENDPOINT names (huggingface.co).")]


@app.command()
def inspect(
    bundle: BundlePath,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """A bundle's card: graphs, operators, sizes, parity, accuracy, provenance, engines, what was tuned here."""
    from zoo.bundle.bundle import Bundle
    from zoo.bundle.inspect import facts, text

    opened = Bundle.open(bundle)
    data = facts(opened)
    typer.echo(json.dumps(data, indent=2, ensure_ascii=False) if as_json else text(opened, data))


@app.command()
def push(
    bundle: BundlePath,
    repository: Repository,
    public: Annotated[bool, typer.Option("--public", help="A new repository is for everyone to see.")] = False,
    message: Annotated[str, typer.Option("--message", "-m", help="Of the commit.")] = "",
) -> None:
    """Upload a bundle to the Hugging Face hub, as one commit. The token comes from HF_TOKEN or `hf auth login`."""
    from zoo.bundle.bundle import Bundle
    from zoo.bundle.hub import push as upload

    typer.echo(upload(Bundle.open(bundle), repository, public=public, message=message))


@app.command()
def pull(
    repository: Repository,
    out: Annotated[Path, typer.Option("--out", "-o", help="The bundle to write: NAME.zoo.")],
    revision: Annotated[str, typer.Option(help="A branch, tag or commit.")] = "main",
    public_key: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Also check its signature, before the bundle appears.")
    ] = None,
) -> None:
    """Download a bundle from the Hugging Face hub; it appears once every hash was checked, or not at all."""
    from zoo.bundle.hub import pull as download

    bundle = download(repository, out, revision=revision, public_key=public_key)
    typer.echo(f"{bundle.path}: {len(bundle.manifest.files)} files of {repository} are as the manifest says")
