"""`python -m bench.child REPORT`: measures one case in a process of its own.

Reads the case as JSON from stdin and appends one JSON object a line to the file REPORT: `{"row": ...}` for each batch
size as soon as it is measured, or `{"error": "one line"}` and the end. What libraries print does not get in between.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import native
from bench.accuracy import evaluate
from bench.cases import Case
from bench.host import peak_memory
from bench.measure import measure, random_batches, stop_rule
from bench.photos import in_batches, read_photos
from bench.results import Row
from bench.subjects import open_subject
from zoo.errors import ZooError, unexpected


def rows(case: Case) -> Iterator[Row]:
    """Open the case's subject, evaluate it once, then measure every batch size."""
    if native.is_native(case.backend):
        yield from native.rows(case)
        return
    subject = open_subject(case)
    accuracy = None if case.evaluation is None else evaluate(subject, case.evaluation)
    photos = [] if case.photos is None else read_photos(case.photos)
    top = [int(subject.decide([photo])[0].argmax()) for photo in photos]
    for batch in case.batches:
        if photos:
            inputs: Sequence[Any] = in_batches(photos, batch)
            call: Callable[[Any], object] = subject.recognise
        else:
            inputs, call = random_batches(batch, subject.framing.height, subject.framing.width), subject.answer
        timing = measure(call, inputs, criteria=stop_rule(case.limits), whole=bool(photos))
        yield Row(
            model=case.name,
            role=case.role,
            group=case.group,
            engine=subject.engine,
            batch=batch,
            scope=case.scope,
            accuracy=accuracy,
            parameters=subject.parameters,
            macs=subject.macs,
            bytes_on_disk=subject.bytes_on_disk,
            peak_memory=None if accuracy else peak_memory(),
            top=top or None,
            command=case.command(),
            timing=timing,
            error=None,
        )


def main(report: Path) -> int:
    """Measure the case on stdin; the exit status is 0 when every batch size has its row."""
    case = Case.model_validate_json(sys.stdin.read())
    with report.open("a", encoding="utf-8") as file:
        try:
            for row in rows(case):
                print(json.dumps({"row": row.model_dump(mode="json")}), file=file, flush=True)
        except ZooError as error:
            print(json.dumps({"error": str(error)}), file=file)
            return error.exit_code
        except Exception as error:  # whatever a library raises ends this case, with its reason, and not the suite
            print(json.dumps({"error": unexpected(error)}), file=file)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
