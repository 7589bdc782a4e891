"""What a case measures, opened: functions from pixels or pictures to answers, and the facts that its row states.

Only what the case needs is imported: torch for a checkpoint, one runtime for a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.cases import CHECKPOINT_PEERS, COMPILED, GRAPH_PEERS, ONNX, TORCH, Case, is_engine
from bench.clock import Compute
from bench.results import EngineFacts
from zoo.engines.layers import LayerTime
from zoo.errors import InputError, VerdictError, missing_package, need
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.tasks.base import Task

if TYPE_CHECKING:
    from zoo.engines import Engine

Answer = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
Recognise = Callable[[Sequence[bytes]], object]
Layered = Callable[[Any, int], list[LayerTime]]


@dataclass(frozen=True)
class Subject:
    """`answer`: uint8 [N, H, W, 3] -> float32 [N, outputs], H and W as `preprocessing` says.

    `recognise`: the bytes of N picture files -> N answers as an app wants them, decoding included. `decide`: the same
    -> float32 [N, outputs], along the same way. `compute`: the device's seconds for each of so many runs, and
    `layers`: the time of each layer, over so many; None where the backend does not say. `shareable`: whether several
    threads may call it at once. `selftest` raises `VerdictError` when the answers are not the bundle's.
    """

    answer: Answer
    recognise: Recognise
    decide: Callable[[Sequence[bytes]], npt.NDArray[np.float32]]
    task: Task
    preprocessing: Preprocessing
    engine: EngineFacts
    parameters: int | None
    macs: int | None
    bytes_on_disk: int | None
    compute: Compute | None = None
    layers: Layered | None = None
    shareable: bool = True
    selftest: Callable[[], None] = lambda: None


def open_subject(case: Case) -> Subject:
    """Load what `case` names. Raises the errors of `zoo.load`, or of the checkpoint's reader; `InputError` also when it
    cannot be measured in the case's scope or variant.
    """
    if case.variant == "cuda-graph" and not (is_engine(case.backend) or case.backend in TORCH):
        raise InputError(f"{case.backend} is measured as its users call it: leave cuda-graph out")
    subject = _open(case)
    if case.scope == "compute" and subject.compute is None:
        reason = (
            "a CPU has no memory apart from the host's: scope call is all that it takes"
            if case.device == "cpu"
            else "it does not say what the GPU alone takes: measure scope call"
        )
        raise InputError(f"{case.backend} on {case.device} has no scope compute: {reason}")
    return subject


def _open(case: Case) -> Subject:
    if case.foreign == ONNX:
        from bench.subjects.foreign import open_graph

        return open_graph(case)
    if case.backend in TORCH:
        return _torch(case)
    if case.backend in GRAPH_PEERS or case.backend in CHECKPOINT_PEERS:
        from bench.subjects.peers import open_peer

        return open_peer(case)
    return _bundle(case)


def _bundle(case: Case) -> Subject:
    from zoo.engines import load, selftest

    engine = load(
        case.subject,
        backend=case.backend,
        precision=case.precision,
        device=case.device,
        threads=case.threads,
        cuda_graph=case.variant == "cuda-graph",
    )

    def check() -> None:
        if not (outcome := selftest.check(engine)).passed:
            raise VerdictError(
                f"its answers to the self-test are off by {outcome.difference:.3g}, {outcome.tolerance:g} is allowed"
            )

    manifest = engine.bundle.manifest
    preprocessing = manifest.input.preprocessing
    return Subject(
        answer=engine,
        recognise=lambda pictures: _predict(engine, pictures),
        decide=lambda pictures: engine(preprocess_many(pictures, preprocessing)[0]),
        task=engine.task,
        preprocessing=preprocessing,
        engine=EngineFacts.of(engine.backend, case.precision),
        parameters=manifest.cost.parameters,
        macs=manifest.cost.macs,
        bytes_on_disk=manifest.files[manifest.graphs[engine.graph].file].bytes,
        compute=getattr(engine.backend, "compute_seconds", None),
        layers=getattr(engine.backend, "layer_times", None),
        selftest=check,
    )


def _predict(engine: Engine, pictures: Sequence[bytes]) -> object:
    """As an app does it: one picture by itself, several together."""
    if len(pictures) == 1:
        return engine.predict(pictures[0])
    return list(engine.predict_many(pictures, batch=len(pictures)))


def _torch(case: Case) -> Subject:
    """A checkpoint, in eager mode or compiled."""
    need("torch", extra="train", purpose="measuring a checkpoint")
    from bench.subjects.foreign import network_of
    from zoo.engines.torch.network import Served

    network = network_of(case)
    served = Served(
        network.network,
        compile=case.backend == COMPILED,
        precision=case.precision,
        device=case.device,
        threads=case.threads,
        cuda_graph=case.variant == "cuda-graph",
    )
    return Subject(
        answer=served.run,
        recognise=predictor(served.run, network.task, network.preprocessing),
        decide=lambda pictures: served.run(preprocess_many(pictures, network.preprocessing)[0]),
        task=network.task,
        preprocessing=network.preprocessing,
        engine=EngineFacts.of(served, case.precision).model_copy(update={"backend": case.backend}),
        parameters=network.cost.parameters,
        macs=network.cost.macs,
        bytes_on_disk=weight_bytes(case.subject),
        compute=getattr(served, "compute_seconds", None),
    )


def preprocess_many(pictures: Sequence[bytes], preprocessing: Preprocessing) -> tuple[Pixels, list[tuple[int, int]]]:
    """The network's pixels of some pictures, by the project's reference, and their sizes."""
    found = [preprocess(picture, preprocessing) for picture in pictures]
    return np.stack([pixels for pixels, _ in found]), [size for _, size in found]


def predictor(answer: Answer, task: Task, preprocessing: Preprocessing) -> Recognise:
    """From pictures to answers by way of the project's reference pixels."""

    def recognise(pictures: Sequence[bytes]) -> object:
        pixels, sizes = preprocess_many(pictures, preprocessing)
        return [task.decode(one, preprocessing, size) for one, size in zip(answer(pixels), sizes, strict=True)]

    return recognise


def torch_for(case: Case) -> Any:
    """The module torch, set to the case's threads."""
    if (case.precision, case.device) != ("fp32", "cpu"):
        raise InputError(f"{case.backend} is measured in fp32 on the cpu, not in {case.precision} on {case.device}")
    try:
        import torch
    except ImportError:
        raise missing_package("torch", "train", "measuring a checkpoint") from None
    if case.threads is not None:
        torch.set_num_threads(case.threads)
    return torch


def weight_bytes(checkpoint: Path) -> int | None:
    """Size of a checkpoint's weights; None where a library keeps them."""
    files = [checkpoint] if checkpoint.is_file() else list(checkpoint.glob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else None
