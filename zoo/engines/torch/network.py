"""A network of torch's made ready to run, eager or compiled, on the CPU or on a GPU: a `Runnable` like a backend.

There is one preparation for all who run a network by torch. The tests have a stand-in for torch's CUDA calls, and run
on a GPU where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zoo.engines.backend import Logits, Pixels
from zoo.engines.cuda import gpu_number
from zoo.engines.torch.compiling import compiled
from zoo.engines.torch.cuda import lane
from zoo.errors import EnvironmentProblem, InputError

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ON_CPU = ("fp32", "bf16")  # many layers have no fp16 kernel there


@runtime_checkable
class HasNormalisation(Protocol):
    """A network with its normalisation in front, as `zoo.models.normalisation.Normalised` is."""

    network: nn.Module

    def around(self, network: nn.Module) -> nn.Module:
        """The same normalisation in front of another network."""
        ...


class Edges(nn.Module):
    """Float32 in, float32 out, everything between in another precision. No autocast: the weights are in it, too."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network.to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [N, 3, H, W] -> float32 [N, outputs]."""
        logits: Tensor = self.network(x.to(self.dtype))
        if logits.dtype != self.dtype:
            raise EnvironmentProblem(f"torch was asked for {self.dtype} and answers in {logits.dtype}")
        return logits.float()


class Served:
    """A network that runs. `Runnable` like a backend, which it is not: it takes no graph, for a bundle has no torch
    module. `Timed` on a GPU alone.
    """

    compute_seconds: Callable[..., list[float]]

    def __init__(
        self,
        network: nn.Module,
        *,
        compile: bool = False,
        precision: str = "fp32",
        device: str = "cpu",
        threads: int | None = None,
        cuda_graph: bool = False,
    ) -> None:
        """`network`: uint8 [N, H, W, 3] -> logits [N, outputs], as `checkpoint.load` gives it. It is converted and
        moved, not copied. Number of threads and TF32 are settings of the whole process in torch.
        """
        number = gpu_number(device)
        if device != "cpu" and number is None:
            raise InputError(f"torch has no device '{device}' here; there are: cpu, cuda, cuda:1 and so on")
        known = ON_CPU if number is None else tuple(DTYPES)
        if precision not in known:
            raise InputError(f"torch runs in {', '.join(known)} on {device}, not in {precision}")
        if cuda_graph and number is None:
            raise InputError("cuda_graph is for device 'cuda'")
        if number is not None and number >= torch.cuda.device_count():
            raise EnvironmentProblem(f"there is no device '{device}': torch counts {torch.cuda.device_count()} GPUs")
        if threads is not None:
            torch.set_num_threads(threads)
        self.name = "torch-compile" if compile else "torch"
        self.device, self.precision, self.threads = device, precision, torch.get_num_threads()
        place = torch.device("cpu") if number is None else torch.device("cuda", number)
        module = _prepared(network, DTYPES[precision]).to(place)
        forward = module.forward
        if compile:
            forward = _compiled(forward, on_gpu=number is not None)
        self.cuda_graph = cuda_graph
        if number is None:
            self._forward = forward
            self.run = self._on_the_cpu
        else:
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32
            torch.backends.cudnn.benchmark = True  # each shape by the algorithm that is fastest for it
            on_gpu = lane(forward, place, torch.cuda, cuda_graph=cuda_graph)
            self.run, self.compute_seconds = on_gpu.run, on_gpu.compute_seconds

    def _on_the_cpu(self, images: Pixels) -> Logits:
        """uint8 [N, H, W, 3] in, float32 [N, size] out."""
        with torch.inference_mode():
            logits: Logits = self._forward(torch.from_numpy(images)).float().numpy()
        return logits

    def versions(self) -> dict[str, Any]:
        """Torch's version, and on a GPU the one of CUDA, its name and whether launches are replayed."""
        if self.device == "cpu":
            return {"torch": torch.__version__}
        gpu = torch.cuda.get_device_name(self.device)
        return {"torch": torch.__version__, "cuda": torch.version.cuda, "gpu": gpu, "cuda_graph": self.cuda_graph}


def _prepared(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """In eval mode, the inner network in this precision and in channels_last; normalisation stays in fp32."""
    if dtype != torch.float32:
        if not isinstance(network, HasNormalisation):
            raise InputError(f"{type(network).__name__} has no normalisation of its own that could stay in fp32")
        inner = Edges(network.network, dtype)
        network = network.around(inner)
        wrong = {weight.dtype for weight in inner.parameters()} - {dtype}
        if wrong:
            raise EnvironmentProblem(f"torch was asked for {dtype} and has weights in {wrong}")
    prepared: nn.Module = network.to(memory_format=torch.channels_last)
    return prepared.eval().requires_grad_(False)


def _compiled(forward: Any, *, on_gpu: bool) -> Any:
    """For each batch size by itself, with frozen weights, which is what torch recommends for inference."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    # CUDA graphs are captured by the lane, where they can be left out and where their buffers are known.
    return compiled(forward, "max-autotune-no-cudagraphs" if on_gpu else "default")
