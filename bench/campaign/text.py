"""A campaign for people: its steps before, their state after."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from bench.campaign.config import Step
from bench.campaign.needs import lacking
from bench.campaign.state import Progress
from zoo.errors import Inconclusive, VerdictError


@dataclass(frozen=True)
class Outlook:
    """What will become of a step here: `status` now or, if `why`, why it cannot run; `seconds` that it still takes."""

    status: str
    why: str | None
    seconds: float


def outlook(steps: Sequence[Step], progress: dict[str, Progress]) -> dict[str, Outlook]:
    """Every step's. One whose need is lacking is skipped, and so is what waits for it alone."""
    found: dict[str, Outlook] = {}
    for step in steps:
        known = progress[step.name]
        why = None if known.status == "done" else lacking(step.needs) or _in_vain(step, found)
        spent = known.seconds if known.status == "cut" else 0.0
        left = max(step.seconds - spent, 0.1 * step.seconds)  # an estimate that is used up was wrong
        found[step.name] = Outlook(known.status, why, 0.0 if why or known.status == "done" else left)
    return found


def _in_vain(step: Step, before: dict[str, Outlook]) -> str | None:
    for pattern in step.after:
        awaited = [seen for name, seen in before.items() if fnmatchcase(name, pattern)]
        if awaited and all(seen.why for seen in awaited):
            return f"{pattern} cannot run: {awaited[0].why}"
    return None


def as_data(steps: Sequence[Step], progress: dict[str, Progress]) -> list[dict[str, Any]]:
    """The steps and their state as data."""
    seen = outlook(steps, progress)
    return [
        {
            "name": step.name,
            **progress[step.name].model_dump(mode="json"),
            "cannot_run": seen[step.name].why,
            "remaining_seconds": round(seen[step.name].seconds, 1),
            "makes": [str(path) for path in step.makes],
        }
        for step in steps
    ]


def listing(steps: Sequence[Step], progress: dict[str, Progress], slice_seconds: float | None) -> str:
    """Every step with its state, its estimate and its command; then the sum."""
    seen = outlook(steps, progress)
    lines = []
    for step in steps:
        ahead, known = seen[step.name], progress[step.name]
        if ahead.why:
            state = f"cannot run here: {ahead.why}"
        else:
            state = known.status + (f": {known.reason}" if known.reason else "")
            state += f", {duration(ahead.seconds)}" if ahead.seconds else ""
        lines += [f"{step.name}  [{state}]", f"    {step.text}"]
    left = sum(one.seconds for one in seen.values())
    slices = (
        f" in {math.ceil(left / slice_seconds)} slices of {duration(slice_seconds)}" if slice_seconds and left else ""
    )
    barred = [step for step in steps if seen[step.name].why]
    lines += ["", f"{tally(progress)}; to do here: an estimated {duration(left)}{slices}"]
    if barred:
        lines.append(
            f"{len(barred)} steps cannot run here; elsewhere they would take {duration(sum(s.seconds for s in barred))}"
        )
    return "\n".join(lines)


def summary(steps: Sequence[Step], progress: dict[str, Progress]) -> str:
    """What was done, and what was not and why."""
    lines = [
        f"{step.name}: {known.status}" + (f": {known.reason}" if known.reason else "")
        for step in steps
        if (known := progress[step.name]).status != "done"
    ]
    return "\n".join([*lines, tally(progress)])


def tally(progress: dict[str, Progress]) -> str:
    """`12 of 40 steps are done, 3 skipped`."""
    counts = Counter(known.status for known in progress.values())
    rest = [f"{counts[status]} {status}" for status in ("failed", "skipped", "blocked", "cut") if counts[status]]
    return ", ".join([f"{counts['done']} of {len(progress)} steps are done", *rest])


def raise_for(progress: dict[str, Progress]) -> None:
    """Exit 1 when a step failed, 3 when something is left to do."""
    failed = [(name, known.reason) for name, known in progress.items() if known.status == "failed"]
    if failed:
        name, reason = failed[0]
        raise VerdictError(f"{len(failed)} of {len(progress)} steps failed; the first is {name}: {reason}")
    if any(known.status in ("waiting", "cut") for known in progress.values()):
        raise Inconclusive(f"{tally(progress)}: the same command goes on from here")


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
