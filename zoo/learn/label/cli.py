"""`zoo label` and `zoo import`: tags for images, from a black box or from an old dataset."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from zoo.errors import InputError, VerdictError, need

app = typer.Typer()

NAMED = 20  # failures that are named on stderr; the others are in answers.sqlite

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def label(
    recipe: Annotated[str, typer.Argument(help="A recipe with a [label] table: shipped, or the path of a TOML file.")],
    set_: Annotated[
        list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override, e.g. label.images=DIR.")
    ] = [],  # noqa: B006  (typer copies it)
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the replies (default: runs/NAME/labels).")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Ask about so many images at most, this time.")] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Label with Ray Data: local, auto or a cluster's address.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a black box about every image and keep its replies; run again, it asks only about what is missing.

    Writes answers.sqlite, tags.json and pairs.parquet. Exit 1 when more images failed than label.max_failures allows.
    """
    need("pyarrow", "tenacity", extra="label", purpose="zoo label")
    from zoo.learn.label.labelling import label_folder
    from zoo.learn.recipe.schema import load_recipe

    loaded = load_recipe(recipe, set_)
    config = loaded.label
    if config is None:
        raise InputError(f"recipe {loaded.name} has no [label] table: nobody is named to be asked")
    root = config.images
    if root is None:
        raise InputError("label.images is not given: the folder of the images to ask about (--set label.images=DIR)")
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    if ray is not None:
        config = config.model_copy(update={"ray": ray})
    folder = out or Path("runs") / loaded.name / "labels"
    done = label_folder(config, root, folder, limit=limit)
    for name, reason in list(done.failures.items())[:NAMED]:
        typer.echo(f"no reply: {name}: {reason}", err=True)
    if len(done.failures) > NAMED:
        typer.echo(f"... and {len(done.failures) - NAMED} more", err=True)
    if as_json:
        typer.echo(json.dumps({"out": str(folder), **asdict(done)}, indent=2, ensure_ascii=False))
    else:
        typer.echo(
            f"{folder}: {done.answered:,} of {done.images:,} images answered ({done.asked:,} asked about just now), "
            f"{len(done.failures):,} failed, {done.tags:,} tags in the index"
        )
    if not done.enough(config.max_failures):
        raise VerdictError(
            f"{len(done.failures)} of {done.images} images failed and {100 * config.max_failures:g} % may; "
            "the same command asks about them once more"
        )


@app.command("import")
def import_(
    pairs: Annotated[Path, typer.Argument(help="An old dataset: a pickle of (X, y), gzip-compressed or not.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write: images/*.png and pairs.parquet.")],
    names: Annotated[
        Path | None, typer.Option(help="Names of y's columns or classes: JSON list, or one per line.")
    ] = None,
    tags: Annotated[int, typer.Option(min=1, help="Size of the tag index.")] = 5000,
    max_gib: Annotated[float, typer.Option(min=0, help="Refuse a file that unpacks to more than this.")] = 4.0,
    as_json: AsJson = False,
) -> None:
    """Turn old pickled pairs into image files and tags. Nothing in the pickle is run; what is not data is refused."""
    need("pyarrow", "tenacity", extra="label", purpose="zoo import")
    from zoo.learn.label.names import read_names
    from zoo.learn.label.old_pairs.convert import convert

    known = read_names(names) if names else []
    count = convert(pairs, out, names=known, keep=tags, limit=int(max_gib * 2**30))
    typer.echo(
        json.dumps({"out": str(out), "images": count}) if as_json else f"{out}: {count:,} images with their tags"
    )
