"""From numbers to verdicts, in words that say what to do. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from bench.gate.config import RETRAINED, GateConfig, Metric
from bench.gate.receipt import Check, Entry, Measured, Missing, Receipt
from bench.gate.rule import Decision, Rule
from bench.gate.runners import Facts
from bench.results import Accuracy
from zoo.errors import EnvironmentProblem, Inconclusive, VerdictError, ZooError
from zoo.tasks.evidence import Loss, Pairs

Part = Check | Measured
ALLOW = "--allow-missing NAME says that this is meant"
WORSE: dict[Metric, str] = {
    "time": "slower",
    "load": "slower to load",
    "first_call": "slower at first",
    "memory": "larger in memory",
}
# What a user loses most by comes first: predictions, then time and memory, then bytes.
WORST_FIRST = ("accuracy", "answers", "time", "memory", "first_call", "load", "parameters", "bytes")


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


def exact(before: Facts, after: Facts, config: GateConfig, benchmarks: int = 1) -> list[Check]:
    """Bytes, parameters and accuracy: one look. `benchmarks`: how many accuracies share `alpha`."""
    return [
        _grown("bytes", before.bytes, after.bytes, config.bytes),
        _grown("parameters", before.parameters, after.parameters, config.parameters),
        _accuracy(before.accuracy, after.accuracy, config, config.alpha / benchmarks),
    ]


def _accuracy(before: Accuracy | None, after: Accuracy | None, config: GateConfig, alpha: float) -> Check:
    """Within the budget it passes. Beyond it, it fails where the images show that; else it is inconclusive."""
    if before is None or after is None:
        return Check(name="accuracy", verdict="not checked", reason="not known of both")
    if (after.task, after.metric, after.images) != (before.task, before.metric, before.images):
        reason = f"{before.metric} of {before.images} images and {after.metric} of {after.images} are not comparable"
        return Check(name="accuracy", verdict="not checked", reason=reason)
    lost = after.lost(before)
    reason = f"{after.metric} {before.shown} -> {after.shown}"
    # A mean over other roundings of the same outputs is not the same to the last digit.
    if lost <= config.accuracy + 1e-7:
        return Check(name="accuracy", verdict="pass", reason=reason, worse=lost)
    if after.counted:
        pairs = Pairs.of_shares(before.value, after.value, after.images)
        loss = Loss(pairs, config.accuracy / 100, alpha)
        if not loss.shown:
            return Check(name="accuracy", verdict="inconclusive", reason=f"{reason}: {loss.text}", worse=lost)
    limit = f" (at most {config.accuracy:g} {after.unit} worse)"
    return Check(name="accuracy", verdict="fail", reason=reason + limit, worse=lost)


def _grown(name: Literal["bytes", "parameters"], before: int | None, after: int | None, limit: float) -> Check:
    if before is None or after is None:
        return Check(name=name, verdict="not checked", reason="not known of both")
    good = after <= before * (1 + limit)
    allowed = "" if good else f" (at most {plain(limit)} more)"
    reason = f"{before:,} -> {after:,}{allowed}"
    share = after / before - 1 if before else None
    return Check(name=name, verdict="pass" if good else "fail", reason=reason, worse=share)


def answers(difference: float, config: GateConfig) -> Check:
    """The check of the outputs while they were timed; `difference`: the worst of all pairs."""
    if config.answers == "accuracy":
        good = math.isfinite(difference)
        reason = "finite; held to the accuracy" if good else "the candidate gives NaN or infinity"
    else:
        good = difference <= config.difference
        shown = f"{difference:.2g}" if math.isfinite(difference) else "of another shape, NaN or infinity"
        reason = f"difference {shown}" + ("" if good else f" (at most {config.difference:g}): its outputs are wrong")
        if not good and math.isfinite(difference):
            reason += f", unless it was retrained: for that, {RETRAINED}"
    worse = difference if math.isfinite(difference) else None
    return Check(name="answers", verdict="pass" if good else "fail", reason=reason, worse=worse)


def of_entry(found: Sequence[Measured], checks: Sequence[Check], error: str | None) -> str:
    """A benchmark's verdict: one failure is enough, one doubt too."""
    verdicts = {part.verdict for part in found} | {check.verdict for check in checks}
    if "fail" in verdicts:
        return "fail"
    if error is not None:
        return "error"
    return "inconclusive" if "inconclusive" in verdicts or not found else "pass"


def of_suite(entries: Sequence[Entry], interrupted: bool, missing: Sequence[Missing] = ()) -> tuple[str, str]:
    """The suite's verdict and its reason, which leads with what is worst.

    A wrong output or a larger file is a failure on any machine; a time only where the sentinel kept still. Nothing
    passes while a benchmark of the baseline is missing, unless that is allowed.
    """
    certain = _found(entries, "fail", measured=False)
    unsteady = any(entry.sentinel is False for entry in entries)
    if certain and unsteady:
        return "fail", _worst(certain)
    if unsteady:
        return "invalid", "the baseline beside itself differs from itself: times of this machine mean nothing now"
    if failed := [*certain, *_found(entries, "fail", measured=True)]:
        return "fail", _worst(failed)
    if broken := [f"{entry.title}: {entry.error}" for entry in entries if entry.error]:
        return "error", _and_more(broken)
    if interrupted:
        return "inconclusive", "interrupted"
    if gone := [each for each in missing if not each.allowed]:
        return "inconclusive", f"{_and_more([absent(each) for each in gone])}; {ALLOW}"
    if unsure := [part for kind in (False, True) for part in _found(entries, "inconclusive", measured=kind)]:
        return "inconclusive", _worst(unsure)
    many = f"{len(entries)} benchmarks" if len(entries) > 1 else entries[0].title
    return "pass", f"{many}: no slowdown that matters, and nothing else is worse"


def absent(missing: Missing) -> str:
    """One line about a benchmark of the baseline that the candidate does not have."""
    renamed = f" (renamed to {missing.renamed}?)" if missing.renamed else ""
    meant = ", as --allow-missing says" if missing.allowed else ""
    return f"{missing.name}: missing in the candidate{renamed}{meant}"


def _found(entries: Sequence[Entry], verdict: str, *, measured: bool) -> list[tuple[Entry, Part]]:
    """The measured things, or the checks, that have this verdict, with their benchmarks."""
    return [
        (entry, part)
        for entry in entries
        for part in (entry.measured if measured else entry.checks)
        if part.verdict == verdict
    ]


def _worst(found: Sequence[tuple[Entry, Part]]) -> str:
    """The reason of the worst: by its kind, and within a kind by how much worse it became."""

    def rank(each: tuple[Entry, Part]) -> tuple[int, float]:
        part = each[1]
        worse = part.change if isinstance(part, Measured) else part.worse
        return WORST_FIRST.index(key_of(part)), -math.inf if worse is None else -worse

    entry, part = min(found, key=rank)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{entry.title}: {key_of(part)}: {part.reason}{more}"


def key_of(part: Part) -> str:
    """`time`, `bytes` ..."""
    return part.metric if isinstance(part, Measured) else part.name


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
