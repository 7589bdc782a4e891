"""What `zoo tune` prints."""

from __future__ import annotations

from typing import Any

from bench.show.text import milliseconds, rate, size
from bench.tune.judge import Entry, front
from bench.tune.tune import Tuning
from zoo.bundle.inspect import aligned
from zoo.bundle.tuned import Choice


def report(tuning: Tuning) -> str:
    """The Pareto front, what else was measured, and what was ruled out with the reason."""
    entries, requirements = tuning.entries, tuning.requirements
    kept = front(entries, requirements)
    beaten = [one for one in entries if one.why is None and one not in kept]
    lines = [f"{tuning.bundle.manifest.name}, for {requirements.aim}; accuracy: {tuning.evidence}", ""]
    lines += ["Worth choosing from: nothing else is faster, as accurate and as small"]
    lines += _table(kept, tuning)
    if beaten:
        lines += ["", "Beaten by one of those", *_table(beaten, tuning)]
    out = [f"  {kind}: {why}" for kind, why in tuning.ruled_out.items()]
    out += [f"  {_engine(one)}: {one.why}" for one in entries if one.why is not None]
    if out:
        lines += ["", "Ruled out", *out]
    return "\n".join(lines)


def chosen(choice: Choice) -> str:
    """One line about a choice."""
    return (
        f"{choice.text}: {milliseconds(choice.p50_ms)} a call, {rate(choice.images_per_second)} images/s, "
        f"{size(choice.memory_bytes)} of memory"
    )


def as_dict(tuning: Tuning) -> dict[str, Any]:
    """The same as data."""
    return {
        "bundle": tuning.bundle.manifest.name,
        "for": tuning.requirements.aim,
        "max_drop": tuning.requirements.max_drop,
        "max_memory_bytes": tuning.requirements.max_memory,
        "evidence": tuning.evidence,
        "measured": [one.as_dict() for one in tuning.entries],
        "front": [one.as_dict() for one in front(tuning.entries, tuning.requirements)],
        "ruled_out": {str(kind): why for kind, why in tuning.ruled_out.items()},
    }


def _engine(one: Entry) -> str:
    return f"{one.kind}, {one.threads} thread{'s' if one.threads != 1 else ''}, batch {one.batch}"


def _table(entries: list[Entry], tuning: Tuning) -> list[str]:
    """Aligned columns: engine, time of a call, images a second, accuracy, memory."""
    rows = [
        [
            _engine(one),
            f"{'' if one.settled else '~ '}{milliseconds(one.p50_ms)}",
            f"{rate(one.images_per_second)} images/s",
            f"{tuning.task.metric} {tuning.task.shown(one.standing.value)}",
            size(one.memory),
        ]
        for one in entries
    ]
    return [f"  {line}" for line in aligned(rows)]
