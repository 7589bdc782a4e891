"""`zoo bench show`: results again, those of one machine as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.results import Results, Row, read_results
from zoo.errors import EnvironmentProblem, InputError
from zoo.files import write_text

app = typer.Typer()


@app.command()
def show(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS.json...", help="What `zoo bench run -o` wrote.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write all rows as one results file.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="MD", help="Write the table as Markdown.")] = None,
) -> None:
    """Print results again; several, if they are of one machine, as one."""
    from bench.show import text

    joined = join([(path, read_results(path)) for path in results])
    if out is not None:
        joined.write(out)
    if markdown is not None:
        try:
            write_text(markdown, text.markdown(joined))
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {markdown}: {error.strerror or error}") from error
    text.terminal(joined)


def join(parts: Sequence[tuple[Path, Results]]) -> Results:
    """All rows in one. `InputError` for results of different machines or versions, or when two hold the same row."""
    (first, start), *rest = parts
    rows = {_key(row): (first, row) for row in start.rows}
    for path, part in rest:
        if part.host.fingerprint != start.host.fingerprint:
            raise InputError(f"{first} and {path} are of different machines: {start.host.summary}; {part.host.summary}")
        if part.version != start.version:
            raise InputError(f"{first} is of version {start.version}, {path} of {part.version}")
        for row in part.rows:
            if (known := rows.get(_key(row))) is not None:
                raise InputError(f"{known[0]} and {path} both hold {row.model}, {row.engine.text}, batch {row.batch}")
            rows[_key(row)] = (path, row)
    ceilings = next((part.ceilings for _, part in parts if part.ceilings is not None), None)
    return start.model_copy(update={"rows": [row for _, row in rows.values()], "ceilings": ceilings})


def _key(row: Row) -> tuple[object, ...]:
    facts = row.engine
    engine = facts.backend, facts.precision, facts.device, facts.threads
    return row.model, row.role, engine, row.scope, row.batch, row.variant
