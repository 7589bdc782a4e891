"""AOTInductor as a backend: runs the `.pt2` package that `zoo build` compiled from a checkpoint. Needs torch."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zoo.bundle import sidecar
from zoo.bundle.sidecar import Processor, Sidecar
from zoo.engines.backend import in_batches
from zoo.engines.cuda import gpu_number
from zoo.errors import EnvironmentProblem, InputError, first_line, missing_package
from zoo.machine import cores, cpu_model, instructions

if TYPE_CHECKING:
    from zoo.engines.torch.lanes import Lanes


class AotInductor:
    """One loaded package. The package locks itself, so that callers on several threads wait for each other."""

    name = "aotinductor"
    # GPU time of each of so many runs on those images, copies apart: the scope `compute`. Only on a GPU.
    compute_seconds: Callable[[npt.NDArray[np.uint8], int], list[float]]

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
        GPU, record the launches for each batch size once and replay them.
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
        self.threads = threads or cores()
        try:
            # A package that may be run by several threads at once keeps events between them: no graph can hold those.
            self._model = torch._inductor.aoti_load_package(
                str(package), run_single_threaded=cuda_graph, device_index=-1 if number is None else number
            )
        except (RuntimeError, OSError) as error:
            reason = first_line(error)
            raise EnvironmentProblem(f"torch cannot load {package.name}: {reason}") from error
        self._lanes: Lanes | None = None
        if number is not None:
            from zoo.engines.torch.lanes import Lanes

            self._lanes = Lanes(self._model, torch.device("cuda", number), torch.cuda, record=cuda_graph)
            self.compute_seconds = self._lanes.compute_seconds

    def run(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] in, float32 [N, size] out. More than the package takes go in several batches."""
        return in_batches(self._answer, images, self.about.batch[2])

    def _answer(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if self._lanes is not None:
            return self._lanes.run(images)
        torch = self._torch
        if torch.get_num_threads() != self.threads:  # a setting of each calling thread, not of the package
            torch.set_num_threads(self.threads)
        pixels = torch.from_numpy(np.require(images, requirements=["C", "W"]))  # read-only ones are copied
        with torch.inference_mode():
            answers = self._model(pixels)
        found: npt.NDArray[np.float32] = answers.numpy()
        return found

    def versions(self) -> dict[str, Any]:
        """Torch's version and the processor that the package was compiled for."""
        return {"torch": self._torch.__version__, "compiled_for": self.about.processor.name}


class AotInductorFused(AotInductor):
    """The same, of a package whose layers were fused into kernels of our own before it was compiled: cuda, fp16."""

    name = "aotinductor-fused"


def library() -> Any:
    """The module `torch`, with its compiler."""
    try:
        import torch
        import torch._inductor
    except ImportError:
        raise missing_package("torch", "train", "the aotinductor backend") from None
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
