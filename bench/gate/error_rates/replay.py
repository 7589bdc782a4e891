"""How often is the gate wrong? Its rule, and what other tools do, replayed on stored rounds.

The stored pairs ran the same file twice. A replay draws pairs from them, swaps the arms of each by a coin (both were
the baseline, after all), and asks for a verdict; a slowdown is put in by making the candidate's times longer.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from bench.gate.config import GateConfig
from bench.gate.error_rates import rivals
from bench.gate.receipt import Arm, Pair, Receipt, read_receipt
from bench.gate.rule import LOOKS, Rule, decide
from zoo.errors import InputError, VerdictError

REPLAYS = 2000
FEWEST_PAIRS = 2 * LOOKS[-1]
INJECTED = 0.05
FALSE_ALARMS = 0.01  # at most, of the replays without a slowdown
DETECTED = 0.95  # at least, of the replays with a slowdown of `INJECTED`


@dataclass(frozen=True)
class Line:
    """One rule's operating characteristics. Shares of the replays; `pairs` and `seconds` are means until a verdict."""

    name: str
    false_alarms: float
    detected: float
    unsure: float | None  # of the replays without a slowdown
    pairs: tuple[float, float]  # without, with the slowdown
    seconds: tuple[float, float]


def stored(path: Path | None) -> Receipt:
    """A recording: the shipped one, or that of `path`. `InputError` when it is too short to replay."""
    if path is None:
        with as_file(files("bench.gate") / "rounds.json") as shipped:
            return read_receipt(shipped)
    receipt = read_receipt(path)
    pairs = len(receipt.entries[0].pairs) if receipt.entries else 0
    if pairs < FEWEST_PAIRS:
        raise InputError(f"{path} holds {pairs} process pairs; a recording needs at least {FEWEST_PAIRS}")
    return receipt


def replay(
    pairs: Sequence[Pair], *, families: Sequence[int] = (1, 20), replays: int = REPLAYS, seed: int = 1
) -> list[Line]:
    """The gate as a suite of one and of `families` benchmarks, then the other rules, on the same pairs."""
    units = [pair.unit("time") for pair in pairs]
    seconds = math.fsum(pair.seconds for pair in pairs) / len(pairs)
    lines = [_gate(units, seconds, family, replays, seed) for family in families]
    return lines + [_rival(name, rule, pairs, seconds, replays, seed) for name, rule in rivals.RULES.items()]


def _gate(units: Sequence[float], seconds: float, family: int, replays: int, seed: int) -> Line:
    config, draw = GateConfig(), random.Random(seed)
    rule = Rule(config.tolerance, config.target, config.alpha, config.beta, family)
    counts = {"pass": 0, "fail": 0, "inconclusive": 0}
    found = {shift: dict(counts) for shift in (0.0, INJECTED)}
    pairs = dict.fromkeys(found, 0)
    for _ in range(replays):
        drawn = [draw.choice((-1, 1)) * unit for unit in draw.choices(units, k=LOOKS[-1])]
        for shift, outcome in found.items():
            decision = decide([unit + math.log1p(shift) for unit in drawn], rule)
            outcome[decision.verdict or "inconclusive"] += 1
            pairs[shift] += decision.pairs
    means = (pairs[0.0] / replays, pairs[INJECTED] / replays)
    return Line(
        name="zoo bench gate" if family == 1 else f"zoo bench gate, one of {family} benchmarks",
        false_alarms=found[0.0]["fail"] / replays,
        detected=found[INJECTED]["fail"] / replays,
        unsure=found[0.0]["inconclusive"] / replays,
        pairs=means,
        seconds=(means[0] * seconds, means[1] * seconds),
    )


def _rival(name: str, rule: rivals.Rival, pairs: Sequence[Pair], seconds: float, replays: int, seed: int) -> Line:
    """What CI does with these rules: one process of the baseline, then one of the candidate.

    The baseline is an arm of a pair and the candidate one of the next, so that they ran one after the other.
    """
    draw, alarms, hits = random.Random(seed), 0, 0
    for _ in range(replays):
        place = draw.randrange(len(pairs) - 1)
        before, after = (_calls(pairs[place + i], draw.random() < 0.5) for i in (0, 1))
        alarms += rule(before, after)
        hits += rule(before, [time * (1 + INJECTED) for time in after])
    return Line(name, alarms / replays, hits / replays, None, (1, 1), (seconds, seconds))


def _calls(pair: Pair, swapped: bool) -> list[float]:
    arm: Arm = "candidate" if swapped else "baseline"
    return [float(time) for each in pair.rounds for time in each[arm]]


def table(lines: Sequence[Line]) -> str:
    """Markdown, for the documentation."""
    slow = f"+{100 * INJECTED:g} %"
    rows = [
        f"| rule | false alarms | {slow} found | A/A: cannot tell | pairs: A/A / {slow} | seconds: A/A / {slow} |",
        "|:--|--:|--:|--:|--:|--:|",
    ]
    for line in lines:
        unsure = "–" if line.unsure is None else f"{100 * line.unsure:.1f} %"
        pairs = f"{line.pairs[0]:.1f} / {line.pairs[1]:.1f}"
        seconds = f"{line.seconds[0]:.1f} / {line.seconds[1]:.1f}"
        cells = [line.name, f"{100 * line.false_alarms:.2f} %", f"{100 * line.detected:.1f} %", unsure, pairs, seconds]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def judge(lines: Sequence[Line]) -> None:
    """`VerdictError` when the gate's own lines break its promise."""
    for line in (line for line in lines if line.unsure is not None):
        if line.false_alarms >= FALSE_ALARMS:
            raise VerdictError(f"{line.name}: {100 * line.false_alarms:.2f} % false alarms (less than 1 % promised)")
        if line.detected < DETECTED:
            raise VerdictError(f"{line.name}: finds {100 * line.detected:.1f} % of the slowdowns (95 % promised)")
