"""AOTInductor as a backend: runs the `.pt2` package that `zoo build` compiled from a checkpoint. Needs torch."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo.bundle import sidecar
from zoo.bundle.sidecar import Processor, Sidecar
from zoo.engines import forking
from zoo.engines.backend import Backend, Builder, Device, Logits, Pixels, in_batches
from zoo.engines.cuda import gpu_number
from zoo.errors import EnvironmentProblem, InputError, first_line
from zoo.machine import cores, cpu_model, instructions

if TYPE_CHECKING:
    from zoo.engines.cuda_lane import CudaLane


class AotInductor(Backend):
    """One loaded package. The package locks itself, so that callers on several threads wait for each other.

    `Timed` and `Closable` on a GPU alone.
    """

    name, library, extra = "aotinductor", "torch", "train"
    devices: ClassVar[tuple[Device, ...]] = ("cpu", "cuda")
    executions = MappingProxyType({"bf16": "fp32"})
    replays = "when asked"
    builder: ClassVar[Builder] = Builder(
        maker="export.build.aotinductor:build_requested",
        # Many layers have no fp16 kernel on a CPU.
        precisions=MappingProxyType({"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16", "bf16")}),
        options=("checkpoint",),
        extra="train,export",
    )
    compute_seconds: Callable[..., list[float]]
    close: Callable[[], None]

    def __init__(
        self,
        graph: Path,
        *,
        precision: str,
        device: str,
        threads: int | None,
        built: tuple[Path, Sidecar] | None = None,
        cuda_graph: bool = False,
    ) -> None:
        """`built`: folder and sidecar of a package that is not yet in its place beside the graph. `cuda_graph`: on a
        GPU, capture the launches for each batch size once and replay them.
        """
        torch = library()
        here = this_processor(device)
        number = gpu_number(device)
        if cuda_graph and number is None:
            raise InputError("cuda_graph is for device 'cuda'")

        def misfit(candidate: Sidecar) -> str | None:
            return stale(candidate, here, torch.__version__)

        folder, self.about = built or sidecar.find(
            graph, backend=self.name, precision=precision, device=device.partition(":")[0], misfit=misfit
        )
        package = sidecar.artefact(folder, self.about)
        self._torch, self.device = torch, device
        self.threads, self.cuda_graph = threads or cores(), cuda_graph
        try:
            # A package that may be run by several threads at once keeps events between them: no graph can hold those.
            self._model = torch._inductor.aoti_load_package(
                str(package), run_single_threaded=cuda_graph, device_index=-1 if number is None else number
            )
        except (RuntimeError, OSError) as error:
            reason = first_line(error)
            raise EnvironmentProblem(f"torch cannot load {package.name}: {reason}") from error
        # OpenMP keeps a team of threads for each thread that has started one. The thread that forked has a team whose
        # threads are in the parent, and would wait for them for ever; one that starts here gets a team of its own.
        self._caller = ThreadPoolExecutor(1) if number is None and forking.in_forked_child() else None
        self._lane: CudaLane | None = None
        if number is not None:
            from zoo.engines.torch.cuda import lane

            self._lane = lane(self._model, torch.device("cuda", number), torch.cuda, cuda_graph=cuda_graph)
            self.compute_seconds, self.close = self._lane.compute_seconds, self._lane.close

    def run(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out. More than the package takes go in several batches."""
        return in_batches(self._call_on_the_cpu if self._lane is None else self._lane.run, images, self.about.batch[2])

    def _call_on_the_cpu(self, images: Pixels) -> Logits:
        return (
            self._run_on_the_cpu(images)
            if self._caller is None
            else self._caller.submit(self._run_on_the_cpu, images).result()
        )

    def _run_on_the_cpu(self, images: Pixels) -> Logits:
        torch = self._torch
        if torch.get_num_threads() != self.threads:  # a setting of each calling thread, not of the package
            torch.set_num_threads(self.threads)
        pixels = torch.from_numpy(np.require(images, requirements=["C", "W"]))  # read-only ones are copied
        with torch.inference_mode():
            logits: Logits = self._model(pixels).numpy()
        return logits

    def versions(self) -> dict[str, Any]:
        """Torch's version and the processor that the package was compiled for."""
        return {"torch": self._torch.__version__, "compiled_for": self.about.processor.name}


class AotInductorFused(AotInductor):
    """The same, of a package whose layers were fused into kernels of our own before it was compiled: cuda, fp16."""

    name = "aotinductor-fused"
    devices = ("cuda",)
    executions = MappingProxyType({})
    builder = Builder(
        maker="export.build.aotinductor:build_requested",
        precisions=MappingProxyType({"cuda": ("fp16",)}),  # the kernels are for a GPU's tensor cores
        options=("checkpoint",),
        extra="train,export",
    )


def library() -> Any:
    """The module `torch`, with its compiler."""
    try:
        import torch
        import torch._inductor
    except ImportError:
        raise AotInductor.missing() from None
    return torch


def this_processor(device: str) -> Processor:
    """What a package would be compiled for here."""
    if device == "cpu":
        return this_cpu()
    number = gpu_number(device)
    if number is None:
        raise InputError(f"aotinductor has no device '{device}'; there are: cpu, cuda, cuda:1 and so on")
    torch = library()
    if number >= torch.cuda.device_count():
        raise EnvironmentProblem(
            f"torch sees {torch.cuda.device_count()} GPUs here: aotinductor cannot use device '{device}'"
        )
    major, minor = torch.cuda.get_device_capability(number)
    return Processor(name=torch.cuda.get_device_name(number), kind=f"{major}.{minor}", driver=torch.version.cuda)


def this_cpu() -> Processor:
    """Name of this CPU, and a hash of the instructions that it has: the compiler uses all of them."""
    digest = hashlib.sha256(" ".join(instructions()).encode()).hexdigest()[:12]
    return Processor(name=cpu_model(), kind=f"{platform.machine()}-{digest}", driver=None)


def stale(engine: Sidecar, here: Processor, torch: str) -> str | None:
    """Why the package does not fit this machine, or None. It is machine code: where an instruction is missing it would
    not answer wrongly but kill the process.
    """
    if engine.library != torch:
        return f"it was compiled by torch {engine.library}, here is {torch}"
    built = engine.processor
    if (built.name, built.kind) != (here.name, here.kind):
        return f"it was compiled for {built.name} ({built.kind}), here is {here.name} ({here.kind})"
    return None
