"""The ceilings as people read them."""

from __future__ import annotations

from bench.evidence import Ceilings
from bench.roofline.store import Known
from bench.show.text import NOTHING, count, size
from zoo.bundle.inspect import aligned
from zoo.engines.precision import NAMES

MAIN = "main memory"


def report(known: Known) -> str:
    """The machine, then a small table for each device."""
    lines = [f"{known.host}, measured {known.created:%Y-%m-%d}"]
    for device in dict.fromkeys(rate.device for rate in known.ceilings.rates):
        lines += ["", *_device(known.ceilings, device, known.gpu)]
    return "\n".join(lines)


def _device(ceilings: Ceilings, device: str, gpu: str | None) -> list[str]:
    rates = [rate for rate in ceilings.rates if rate.device == device]
    memory = [one for one in ceilings.bandwidths if one.device == device]
    threads = sorted({one.threads for one in rates} | {one.threads for one in memory})
    heading = [f"{one} thread{'s' if one != 1 else ''}" for one in threads] if device == "cpu" else [gpu or device]
    table, by = [["arithmetic", *heading]], ["reached by"]
    for precision in sorted({rate.precision for rate in rates}, key=_order):
        of = {rate.threads: rate for rate in rates if rate.precision == precision}
        cells = [f"{count(of[one].flops_per_second)}op/s" if one in of else NOTHING for one in threads]
        table.append([precision, *cells])
        by.append(of[max(of)].by or NOTHING)
    table.append(["memory", *[""] * len(threads)])
    by.append("")
    for working_set in sorted({one.working_set for one in memory}, key=lambda bytes_: bytes_ or float("inf")):
        by_threads = {one.threads: one for one in memory if one.working_set == working_set}
        cells = [f"{size(by_threads[one].bytes_per_second)}/s" if one in by_threads else NOTHING for one in threads]
        title = MAIN if working_set is None else f"set of {size(working_set)}"
        table.append([title, *cells])
        by.append(by_threads[max(by_threads)].by or NOTHING)
    lines = [f"  {line}  {who}".rstrip() for line, who in zip(aligned(table), by, strict=True)]
    if device == "cuda" and ceilings.launch_us is not None:
        lines.append(f"  launch of a kernel: {ceilings.launch_us:.2f} µs")
    return [device.upper(), *lines]


def _order(precision: str) -> int:
    return next((place for place, name in enumerate(NAMES) if name == precision), len(NAMES))
