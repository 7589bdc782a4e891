"""`zoo bench roofline`: measure the ceilings of one device, with progress on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bench.evidence import Ceilings
from bench.host import Host
from bench.roofline.arithmetic import PASSES, SECONDS, probes, rates
from bench.roofline.gpu import gpu_ceilings, steps
from bench.roofline.graphs import SHAPES, Shape
from bench.roofline.memory import bandwidths, last_cache, working_sets
from bench.roofline.store import SCHEMA, Known
from zoo import __version__
from zoo.errors import InputError, nearest, need
from zoo.machine import cores, libraries
from zoo.progress import track

DEVICES = ("cpu", "cuda")


def measure(
    host: Host,
    *,
    device: str = "cpu",
    threads: Sequence[int] = (),
    shapes: Sequence[Shape] = SHAPES,
    seconds: float = SECONDS,
    largest_set: int | None = None,
) -> Known:
    """The ceilings of this machine's processor, for each number of `threads` (1 and all cores), or of its GPU.

    `shapes`, `seconds` for one visit of a probe and `largest_set` in bytes make it shorter. `InputError` for an unknown
    device and for more threads than there are cores, `EnvironmentProblem` for a package or a GPU that is not there.
    """
    if device not in DEVICES:
        raise InputError(f"no device '{device}'; there are: {', '.join(DEVICES)}{nearest(device, DEVICES)}")
    if device == "cuda":
        if threads:
            raise InputError("--threads is about the CPU: a GPU's ceilings know no threads of the host")
        with track("measuring the GPU's ceilings", steps()) as advance:
            gpu = gpu_ceilings(advance)
        ceilings = Ceilings(rates=gpu.rates, bandwidths=gpu.bandwidths, launch_us=gpu.launch_us)
        return _known(host, ceilings, gpu.name)
    counts = list(dict.fromkeys(threads or (1, cores())))
    if min(counts) < 1 or max(counts) > cores():
        raise InputError(f"--threads: from 1 to {cores()}, the cores that this process may use")
    need("onnx", extra="export", purpose="measuring ceilings")
    need("psutil", extra="bench", purpose="measuring")
    wanted = probes(counts, shapes)
    sets = [(name, size) for name, size in _sets() if largest_set is None or size <= largest_set]
    with track("measuring this machine's ceilings", len(wanted) * PASSES + len(sets) * len(counts)) as advance:
        found = Ceilings(
            rates=rates(wanted, advance, seconds=seconds),
            bandwidths=bandwidths(counts, sets, advance),
        )
    return _known(host, found, None)


def _sets() -> list[tuple[int | None, int]]:
    import psutil

    return working_sets(last_cache(), psutil.virtual_memory().available)


def _known(host: Host, ceilings: Ceilings, gpu: str | None) -> Known:
    return Known(
        schema=SCHEMA,
        created=datetime.now(UTC).replace(microsecond=0),
        version=__version__,
        fingerprint=host.fingerprint,
        host=host.summary,
        gpu=gpu,
        libraries=libraries(),
        ceilings=ceilings,
    )
