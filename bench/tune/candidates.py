"""What a user wants of an engine, and which candidates there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.cases import Case, Limits
from zoo.bundle import sidecar
from zoo.bundle.manifest import Executed
from zoo.bundle.tuned import Aim
from zoo.engines import Bundle
from zoo.engines.backend import Backend
from zoo.engines.precision import offered
from zoo.engines.registry import classes, installed
from zoo.machine import cores

BATCHES: dict[Aim, tuple[int, ...]] = {"latency": (1,), "throughput": (1, 8, 32)}
FOR_TENSORRT = "int8s"  # signed activations: CPU libraries run them several times slower than the graph made for them
CHECK = Limits(seconds=0.02, min_rounds=1)  # a check is about logits, not about time


@dataclass(frozen=True)
class Requirements:
    """`max_drop` in the task's unit (percentage points, pixels), `max_memory` in bytes; empty lists: what makes sense.

    `passes`: how often everything is measured, interleaved; `seconds`: time limit for one batch size in one pass.
    """

    aim: Aim = "latency"
    max_drop: float = 0.5
    max_memory: int | None = None
    batches: Sequence[int] = ()
    threads: Sequence[int] = ()
    evaluation: Path | None = None
    device: str = "cpu"
    passes: int = 3
    seconds: float = 1.0

    def speed(self, p50_ms: float, images_per_second: float) -> float:
        """Higher is better, by what the engine is wanted for."""
        return images_per_second if self.aim == "throughput" else 1 / p50_ms

    def allows(self, memory: int) -> bool:
        """Whether so many bytes are within the limit."""
        return self.max_memory is None or memory <= self.max_memory


@dataclass(frozen=True)
class Kind:
    """A backend in a precision: what decides the logits, and so the accuracy."""

    backend: str
    precision: Executed

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}"


def kinds(bundle: Bundle, device: str) -> tuple[list[Kind], dict[Kind, str]]:
    """Every backend that is installed in every precision that it has for the bundle on this device; those ruled out,
    with why. What a backend cannot have there (a precision that `zoo build` does not build for it, TensorRT without a
    GPU) is neither.
    """
    found, ruled_out = [], {}
    for backend, about in classes().items():
        for precision in offered(bundle, backend):
            if not _possible(about, precision, device):
                continue
            kind = Kind(backend, precision)
            if not installed(backend):
                ruled_out[kind] = "not installed"
            elif about.builder is not None and not sidecar.folders(bundle.path, f"{backend}-{precision}-"):
                ruled_out[kind] = "not built: zoo build makes one"
            else:
                found.append(kind)
    return found, ruled_out


def _possible(about: type[Backend], precision: Executed, device: str) -> bool:
    """Whether the backend could run this precision on this device at all, were everything installed and built."""
    name = next((known for known in about.devices if known == device.partition(":")[0]), None)
    if name is None:
        return False
    if about.builder is None:
        return precision != FOR_TENSORRT
    return precision in (*about.builder.precisions.get(name, ()), *about.builder.synonyms)


def check_case(bundle: Bundle, kind: Kind, requirements: Requirements) -> Case:
    """The case that finds a kind's accuracy on labelled images, or holds it to the bundle's self-test.

    An execution that no graph of the bundle records (bf16) is only opened: no self-test says what it may lose.
    """
    recorded = kind.precision in bundle.manifest.graphs
    return Case(
        name=bundle.manifest.name,
        subject=bundle.path,
        backend=kind.backend,
        precision=kind.precision,
        device=requirements.device,
        batches=(1,),
        evaluation=requirements.evaluation,
        selftest=requirements.evaluation is None and recorded,
        energy=False,
        limits=CHECK,
    )


def timed_cases(bundle: Bundle, kind: Kind, requirements: Requirements) -> list[Case]:
    """One case for each number of threads, with all batch sizes."""
    return [
        Case(
            name=bundle.manifest.name,
            subject=bundle.path,
            backend=kind.backend,
            precision=kind.precision,
            device=requirements.device,
            threads=threads,
            batches=tuple(sorted(requirements.batches)) or BATCHES[requirements.aim],
            energy=False,
            limits=Limits(seconds=requirements.seconds),
        )
        for threads in (requirements.threads or _threads(requirements.device))
    ]


def _threads(device: str) -> list[int]:
    """1, 2, 4 ... and all cores: a small network is often faster on fewer. Off the CPU one thread drives the rest."""
    most = cores()
    if device != "cpu":
        return [1]
    return [2**power for power in range(most.bit_length()) if 2**power < most] + [most]
