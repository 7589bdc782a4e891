"""From numbers to verdicts, in words that say what to do. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeVar

from bench.gate.config import GateConfig, Metric
from bench.gate.receipt import Check, Entry, Measured, Receipt
from bench.gate.rule import Decision, Rule
from bench.gate.runners import Facts
from zoo.errors import EnvironmentProblem, Inconclusive, VerdictError, ZooError

Part = TypeVar("Part", Check, Measured)
WORSE: dict[Metric, str] = {
    "time": "slower",
    "load": "slower to load",
    "first_call": "slower at first",
    "memory": "larger in memory",
}


def signed(share: float | None) -> str:
    """`0.0213` -> `+2.1 %`."""
    return "?" if share is None else f"{100 * share:+.1f} %"


def plain(share: float) -> str:
    """`0.015` -> `1.5 %`."""
    return f"{100 * share:g} %"


def measured(metric: Metric, decision: Decision, rule: Rule, why: str | None = None) -> Measured:
    """A metric's verdict in words. Without a verdict it is inconclusive, because of `why`."""
    worse, pairs = WORSE[metric], f"{decision.pairs} process pairs"
    if decision.verdict == "fail":
        reason = f"{signed(decision.change)}: more than {plain(rule.tolerance)} {worse}, beyond doubt ({pairs})"
    elif decision.verdict == "pass":
        reason = f"{signed(decision.change)}: {plain(rule.target)} {worse} is ruled out ({pairs})"
    else:
        noisy = f"too noisy here: the change lies between {signed(decision.low)} and {signed(decision.high)} ({pairs})"
        reason = why or noisy
    return Measured(
        metric=metric,
        verdict=decision.verdict or "inconclusive",
        reason=reason,
        pairs=decision.pairs,
        change=decision.change,
        low=decision.low,
        high=decision.high,
        tolerance=rule.tolerance,
        target=rule.target,
    )


def exact(before: Facts, after: Facts, config: GateConfig) -> list[Check]:
    """Bytes, parameters and accuracy: no noise, one look."""
    checks = [
        _grown("bytes", before.bytes, after.bytes, config.bytes),
        _grown("parameters", before.parameters, after.parameters, config.parameters),
    ]
    ours, theirs = after.accuracy, before.accuracy
    if ours is None or theirs is None:
        checks.append(Check(name="accuracy", verdict="not checked", reason="not known of both"))
    elif (ours.task, ours.metric, ours.images) != (theirs.task, theirs.metric, theirs.images):
        reason = f"{theirs.metric} of {theirs.images} images and {ours.metric} of {ours.images} are not comparable"
        checks.append(Check(name="accuracy", verdict="not checked", reason=reason))
    else:
        # A mean over other roundings of the same outputs is not the same to the last digit.
        good = ours.lost(theirs) <= config.accuracy + 1e-7
        limit = "" if good else f" (at most {config.accuracy:g} {ours.unit} worse)"
        reason = f"{ours.metric} {theirs.shown} -> {ours.shown}{limit}"
        checks.append(Check(name="accuracy", verdict="pass" if good else "fail", reason=reason))
    return checks


def _grown(name: Literal["bytes", "parameters"], before: int | None, after: int | None, limit: float) -> Check:
    if before is None or after is None:
        return Check(name=name, verdict="not checked", reason="not known of both")
    good = after <= before * (1 + limit)
    allowed = "" if good else f" (at most {plain(limit)} more)"
    reason = f"{before:,} -> {after:,}{allowed}"
    return Check(name=name, verdict="pass" if good else "fail", reason=reason)


def answers(difference: float, config: GateConfig) -> Check:
    """The check of the outputs while they were timed; `difference`: the worst of all pairs."""
    if config.answers == "accuracy":
        good = math.isfinite(difference)
        reason = "finite; held to the accuracy" if good else "the candidate gives NaN or infinity"
    else:
        good = difference <= config.difference
        shown = f"{difference:.2g}" if math.isfinite(difference) else "of another shape, NaN or infinity"
        reason = f"difference {shown}" + ("" if good else f" (at most {config.difference:g}): its outputs are wrong")
    return Check(name="answers", verdict="pass" if good else "fail", reason=reason)


def of_entry(found: Sequence[Measured], checks: Sequence[Check], error: str | None) -> str:
    """A benchmark's verdict: one failure is enough, one doubt too."""
    verdicts = {part.verdict for part in found} | {check.verdict for check in checks}
    if "fail" in verdicts:
        return "fail"
    if error is not None:
        return "error"
    return "inconclusive" if "inconclusive" in verdicts or not found else "pass"


def of_suite(entries: Sequence[Entry], interrupted: bool) -> tuple[str, str]:
    """The suite's verdict and its reason.

    A wrong output or a larger file is a failure on any machine; a time only where the sentinel kept still.
    """
    certain = [f"{entry.title}: {check.name}: {check.reason}" for entry in entries for check in _failed(entry.checks)]
    if certain:
        return "fail", _and_more(certain)
    if any(entry.sentinel is False for entry in entries):
        return "invalid", "the baseline beside itself differs from itself: times of this machine mean nothing now"
    slow = [f"{entry.title}: {part.metric}: {part.reason}" for entry in entries for part in _failed(entry.measured)]
    if slow:
        return "fail", _and_more(slow)
    if broken := [f"{entry.title}: {entry.error}" for entry in entries if entry.error]:
        return "error", _and_more(broken)
    if interrupted:
        return "inconclusive", "interrupted"
    unsure = [
        f"{entry.title}: {part.metric}: {part.reason}"
        for entry in entries
        for part in entry.measured
        if part.verdict == "inconclusive"
    ]
    if unsure:
        return "inconclusive", _and_more(unsure)
    many = f"{len(entries)} benchmarks" if len(entries) > 1 else entries[0].title
    return "pass", f"{many}: no slowdown that matters, and nothing else is worse"


def _failed(parts: Sequence[Part]) -> list[Part]:
    return [part for part in parts if part.verdict == "fail"]


def _and_more(reasons: Sequence[str]) -> str:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}"


def raise_for(receipt: Receipt) -> None:
    """The error whose exit code is the verdict's: 1 fail, 3 inconclusive, 4 invalid or not measured. Pass returns."""
    kinds: dict[str, type[ZooError]] = {
        "fail": VerdictError,
        "inconclusive": Inconclusive,
        "invalid": EnvironmentProblem,
        "error": EnvironmentProblem,
    }
    if receipt.verdict in kinds:
        raise kinds[receipt.verdict](f"{receipt.verdict.upper()}: {receipt.reason}")
