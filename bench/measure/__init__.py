"""Timing one engine: warm-up until nothing drifts, rounds until a stop rule is met, then what it costs otherwise.

`rounds` is the loop; `warm`, `stop` and `bench.clock` are what it is made of. `saturate`, `energy` and `cold` are
measured by themselves, because none of them may disturb a time. docs/measuring.md says what every number means.
"""

from bench.clock import Call, Clock, Timer, on_device, on_host
from bench.inputs import DISTINCT_BATCHES, Batch, random_batches
from bench.measure.rounds import measure
from bench.measure.stop import Converged, Criterion, NoiseSettled, TimeLimit, stop_rule
from bench.measure.warm import WarmUp

__all__ = [
    "DISTINCT_BATCHES",
    "Batch",
    "Call",
    "Clock",
    "Converged",
    "Criterion",
    "NoiseSettled",
    "TimeLimit",
    "Timer",
    "WarmUp",
    "measure",
    "on_device",
    "on_host",
    "random_batches",
    "stop_rule",
]
