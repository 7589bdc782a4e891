"""Energy for one image: a counter of joules before and after many calls, and no power meter.

Counters move in ticks, so that the reading begins and ends at one: calls go on until the counter has just moved. What
is left of the error is one call and the unsteadiness of the tick, at each end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Literal, Protocol

from bench.clock import Call, Clock, Elapsed
from bench.evidence import Energy
from bench.inputs import Batch
from bench.measure.rounds import no_collection

POWERCAP = Path("/sys/class/powercap")
# A counter that does not move in so long is none: the slowest that are known, of GPUs, take a tenth of a second.
STILL = 1.0


class Meter(Protocol):
    """A counter of joules."""

    @property
    def source(self) -> Literal["nvml", "rapl"]:
        """What the row will say."""
        ...

    @property
    def seconds(self) -> float:
        """How long to measure at least, for its ticks to be small beside it."""
        ...

    def joules(self) -> float:
        """Up to now, from any beginning; it never falls."""
        ...


def energy(
    call: Call,
    inputs: Sequence[Batch],
    meter: Meter,
    *,
    runs: int = 1,
    clock: Clock = time.perf_counter_ns,
) -> Energy:
    """Joules of the whole device for one image while it does nothing but answer; one call answers `runs` batches."""
    feed, calls = cycle(inputs), 0

    def to_next_tick() -> float | None:
        """Call until the counter moves; what it then says."""
        nonlocal calls
        before, waited = meter.joules(), Elapsed(clock)
        while waited.seconds() < STILL:
            call(next(feed))
            calls += 1
            if (now := meter.joules()) != before:
                return now
        return None

    with no_collection():
        start = to_next_tick()
        calls = 0
        elapsed = Elapsed(clock)
        while start is not None and elapsed.seconds() < meter.seconds:
            call(next(feed))
            calls += 1
        end = to_next_tick() if start is not None else None
    if start is None or end is None:
        return unknown(f"the counter of {meter.source} did not move in {STILL:g} s")
    if end <= start:
        return unknown(f"the counter of {meter.source} was set back meanwhile")
    images = calls * runs * len(inputs[0])
    return Energy(joules_per_image=(end - start) / images, source=meter.source, reason=None)


def unknown(reason: str) -> Energy:
    """No number, and why."""
    return Energy(joules_per_image=None, source=None, reason=reason)


class Rapl:
    """The CPU packages' counters of Intel and AMD, as Linux shows them. Memory and the rest are not in them."""

    source: Literal["rapl"] = "rapl"
    seconds = 0.5  # they tick every millisecond: 500 ticks

    def __init__(self, packages: Sequence[Path]) -> None:
        """`packages`: the folder of each counter. `OSError` when one cannot be read."""
        self._files = [folder / "energy_uj" for folder in packages]
        self._ranges = [int((folder / "max_energy_range_uj").read_text()) for folder in packages]
        self._last = [int(file.read_text()) for file in self._files]
        self._sum = 0

    def joules(self) -> float:
        """Counted from the first reading on. A counter that was full and began again is told by its fall."""
        for place, file in enumerate(self._files):
            now = int(file.read_text())
            step = now - self._last[place]
            self._sum += step if step >= 0 else step + self._ranges[place]
            self._last[place] = now
        return self._sum / 1e6


def rapl(root: Path = POWERCAP) -> Rapl | str:
    """This machine's CPU counters, or in one line why there are none."""
    # intel-rapl:0 is a package; intel-rapl:0:1 is a part of it, which would count twice, and psys is more than the CPU.
    zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if re.fullmatch(r"intel-rapl:\d+", zone.name)]
    try:
        packages = [zone for zone in zones if (zone / "name").read_text().startswith("package")]
        if packages:
            return Rapl(packages)
    except PermissionError:
        return f"the CPU's energy counters in {root} are for root alone"
    except (OSError, ValueError) as error:
        return f"the CPU's energy counters in {root} cannot be read: {error}"
    return f"the CPU shows no energy counter in {root}, as on most virtual machines"
