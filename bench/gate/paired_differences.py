"""One process pair: fresh processes that take turns, in random order, round after round."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.gate.agreement import difference
from bench.gate.arm import ArmError, ArmProcess
from bench.gate.child import Job
from bench.gate.receipt import Arm, Pair, Process, Round
from bench.results import EngineFacts

# A turn of 3 ms is a few thousand times the clock's resolution, and short enough that both arms are measured in
# the same noise regime. Below 5 calls a lower quartile is hardly more than a minimum.
TURN_NS = 3_000_000
CALLS = 5
SLOW_CALL_NS = 20_000_000  # from here on 3 calls have to do
SLOW_CALLS = 3
# Starting a pair costs as much as some dozens of rounds of a fast network: Kalibera and Jones' formula gives 22 rounds
# for a spread of 5 % inside processes, 1.6 % between them and 0.3 s to start. Slow networks get fewer.
ROUNDS = 24
FEWEST_ROUNDS = 8
PAIR_NS = 2_000_000_000


@dataclass(frozen=True)
class PairSize:
    """Calls in a turn and rounds in a pair: the same for both arms, in every pair of a benchmark."""

    calls: int
    rounds: int

    @classmethod
    def of(cls, call_ns: float, arms: int) -> PairSize:
        """For calls that take about `call_ns`."""
        least = CALLS if call_ns < SLOW_CALL_NS else SLOW_CALLS
        calls = max(least, math.ceil(TURN_NS / max(1.0, call_ns)))
        rounds = round(PAIR_NS / (arms * (calls + 1) * max(1.0, call_ns)))
        return cls(calls, min(ROUNDS, max(FEWEST_ROUNDS, rounds)))


@dataclass(frozen=True)
class Outcome:
    """A pair, and what only its processes know. `difference`: of the outputs, as `bench.gate.agreement` measures it."""

    pair: Pair
    size: PairSize
    engine: EngineFacts
    difference: float


def run_pair(jobs: Mapping[Arm, Job], size: PairSize | None, folder: Path, draw: random.Random) -> Outcome:
    """Start a process for each arm, let them take turns, end them. `ArmError` says what went wrong with one.

    Without a `size` the baseline's warm-up sets it.
    """
    began = time.monotonic()
    names = list(jobs)
    draw.shuffle(names)
    with ExitStack() as stack:
        # All of them load at the same time: half the waiting, and the same competition for each.
        arms = {name: stack.enter_context(ArmProcess(name, jobs[name], folder / f"{name}.log", draw)) for name in names}
        ready = {name: arm.ready() for name, arm in arms.items()}
        size = size or PairSize.of(ready["baseline"].call_ns, len(names))
        rounds = take_turns({name: arm.turn for name, arm in arms.items()}, size, draw)
        processes = {
            name: Process(load_ms=ready[name].load_ms, first_call_ms=ready[name].first_call_ms, peak_bytes=arm.finish())
            for name, arm in arms.items()
        }
    pair = Pair(seconds=time.monotonic() - began, processes=processes, rounds=rounds)
    apart = difference(jobs["baseline"].outputs, jobs["candidate"].outputs)
    return Outcome(pair, size, ready["baseline"].engine, apart)


def take_turns(turns: Mapping[Arm, Callable[[int], list[int]]], size: PairSize, draw: random.Random) -> list[Round]:
    """The rounds of a pair. A round in which the clock stood still or went back is measured again."""
    names = list(turns)
    rounds: list[Round] = []
    for _ in range(2 * size.rounds):
        draw.shuffle(names)
        times = {name: turns[name](size.calls) for name in names}
        if all(time > 0 for calls in times.values() for time in calls):
            rounds.append(times)
        if len(rounds) == size.rounds:
            return rounds
    raise ArmError("the clock of this machine jumps: half of the rounds have times of zero or less")
