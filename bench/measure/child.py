"""`python -m bench.measure.child REPORT`: measures one case in a process of its own.

Reads the case as JSON from stdin and appends one JSON object a line to the file REPORT: `{"row": ...}` for each batch
size as soon as it is timed, and again when more is known of it, or `{"error": "one line"}` and the end. What libraries
print does not get in between.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench.cases import Case
from bench.measure import session
from bench.subjects import native
from zoo.errors import ZooError, unexpected


def main(report: Path) -> int:
    """Measure the case on stdin; the exit status is 0 when every batch size has its row."""
    case = Case.model_validate_json(sys.stdin.read())
    with report.open("a", encoding="utf-8") as file:
        try:
            for row in (native.rows if native.is_native(case.backend) else session.rows)(case):
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
