"""A receipt as SARIF 2.1.0, the format in which code scanning services take findings."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any

from bench.gate.receipt import Check, Entry, Measured, Receipt
from bench.gate.show import parts
from bench.gate.verdict import absent, key_of

Json = dict[str, Any]
RULES = {
    "time": "A call is slower than the baseline's",
    "load": "The engine takes longer to load",
    "first_call": "The first call takes longer",
    "memory": "The process needs more memory",
    "answers": "The outputs differ from the baseline's",
    "bytes": "The file is larger",
    "parameters": "The network has more parameters",
    "accuracy": "The accuracy is lower",
    "missing": "A benchmark of the baseline is missing",
    "new": "A benchmark that the baseline does not have",
}
LEVELS = {"fail": "error", "inconclusive": "note"}


def sarif(receipt: Receipt) -> str:
    """One run with a result for each failure (error), doubt (note), missing benchmark (warning; note where that is
    allowed) and new one (note); passes and what was not checked say nothing.
    """
    found = [_judged(receipt, entry, part) for entry, part in parts(receipt) if part.verdict in LEVELS]
    found += [
        _result(receipt, "missing", "note" if each.allowed else "warning", each.name, absent(each))
        for each in receipt.missing
    ]
    found += [_result(receipt, "new", "note", name, f"{name}: new in the candidate") for name in receipt.appeared]
    run = {
        "tool": {
            "driver": {
                "name": "zoo bench gate",
                "version": receipt.version,
                "rules": [{"id": name, "shortDescription": {"text": text}} for name, text in RULES.items()],
            }
        },
        "invocations": [_invocation(receipt)],
        "results": found,
    }
    return json.dumps({"version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _judged(receipt: Receipt, entry: Entry, part: Measured | Check) -> Json:
    # A time that an untrustworthy machine measured is no finding.
    doubted = receipt.verdict == "invalid" and isinstance(part, Measured)
    level = "note" if doubted else LEVELS[part.verdict]
    return _result(receipt, key_of(part), level, entry.title, f"{entry.title}: {part.reason}")


def _result(receipt: Receipt, rule: str, level: str, benchmark: str, text: str) -> Json:
    place = {"physicalLocation": {"artifactLocation": {"uri": _uri(receipt.candidate)}}}
    return {
        "ruleId": rule,
        "ruleIndex": list(RULES).index(rule),
        "level": level,
        "message": {"text": text},
        "locations": [place],
        "partialFingerprints": {"benchmark/v1": f"{benchmark}/{rule}"},
    }


def _invocation(receipt: Receipt) -> Json:
    wrong = [receipt.reason] if receipt.verdict in ("invalid", "error") or receipt.interrupted else []
    notices = [{"level": "error", "message": {"text": text}} for text in wrong]
    return {
        "executionSuccessful": not wrong,
        "arguments": receipt.argv[1:],
        "toolExecutionNotifications": notices,
    }


def _uri(path: str) -> str:
    """A relative path stays relative to the checkout, which is what services resolve it against."""
    from urllib.parse import quote

    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())
