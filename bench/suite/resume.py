"""Going on where a suite was interrupted: which rows of its results file are those of the same cases."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.cases import Case
from bench.host import Host
from bench.results import Results, Row, read_results
from bench.suite.collect import Collection
from zoo import __version__
from zoo.bundle.bundle import MANIFEST
from zoo.errors import InputError
from zoo.progress import note

ADVICE = "--resume continues the same command on the same machine: give another --out to start anew"
Key = tuple[str, int, str]


def earlier(out: Path | None, cases: Sequence[Case], host: Host, passes: int) -> Results | None:
    """What was measured before; None when there is no such file yet.

    `InputError` when the file cannot be continued: it is of another machine or version, or has rows of other cases.
    """
    if out is None:
        raise InputError("--resume goes on with a results file: name it with --out")
    if passes > 1:
        raise InputError("--resume cannot tell how many passes a row has had: use it with one pass")
    if not out.exists():
        return None
    found = read_results(out)
    if found.host.fingerprint != host.fingerprint:
        raise InputError(f"{out} was measured on another machine ({found.host.summary}): {ADVICE}")
    if found.version != __version__:
        raise InputError(f"{out} was measured by distilzoo {found.version}, and this is {__version__}: {ADVICE}")
    wanted = {_key_of(case, batch) for case in cases for batch in case.batches}
    strange = [row for row in found.rows if _key(row) not in wanted]
    if strange:
        raise InputError(f"{out} has {len(strange)} rows that are not asked for, as {strange[0].command}: {ADVICE}")
    return found


def taken_over(found: Collection, before: Results) -> None:
    """Give every case its rows of `before`, but those that failed and those whose file has changed since."""
    rows = {_key(row): row for row in before.rows if row.timing is not None}
    kept = 0
    for place, case in enumerate(found.cases):
        mine = [row for batch in case.batches if (row := rows.get(_key_of(case, batch))) is not None]
        if mine and _changed(case.subject) > before.created + timedelta(seconds=1):  # `created` is in whole seconds
            note(f"{case.subject} has changed since {before.created:%Y-%m-%d %H:%M} UTC and is measured again")
            continue
        found.add(place, mine)
        kept += len(mine)
    note(f"{kept} rows were there already")


def what_is_missing(case: Case, rows: Sequence[Row]) -> Case | None:
    """The case with the batch sizes that have no row yet; None when it is complete."""
    done = {row.batch for row in rows}
    missing = tuple(batch for batch in case.batches if batch not in done)
    return case.model_copy(update={"batches": missing}) if missing else None


def _key(row: Row) -> Key:
    """A row by the command that measures it alone."""
    words = shlex.split(row.command)
    if "--batch" in words[:-1]:
        words[words.index("--batch") + 1] = str(row.batch)
    return shlex.join(words), row.batch, row.model


def _key_of(case: Case, batch: int) -> Key:
    return case.model_copy(update={"batches": (batch,)}).command(), batch, case.name


def _changed(subject: Path) -> datetime:
    """When what is measured was last written; long ago for what is no file."""
    parts = [subject / MANIFEST, subject, *subject.glob("*.safetensors")] if subject.is_dir() else [subject]
    times = [part.stat().st_mtime for part in parts if part.exists()]
    return datetime.fromtimestamp(max(times, default=0), UTC)
