"""A training step captured as a CUDA graph, and replayed with other numbers.

At batch 64 a small network keeps a GPU busy for a third of a millisecond, and Python needs longer than that to launch
the step's hundred kernels one by one. A CUDA graph launches all of them at once, on the memory that they used when the
graph was captured. So the whole step is written here as work on tensors that stay where they are: from the numbers of
images and views, over pixels, logits, losses and gradients, to new weights. What changes from step to step is copied
into those tensors; what belongs to an epoch (learning rates, the soft loss's gain) is a table that the step looks up on
the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from zoo.errors import EnvironmentProblem, InputError, first_line
from zoo.learn.train.batches import Batches

WARM_UP = 3  # real steps before the capture: libraries choose kernels, the compiler compiles, the optimiser allocates


class StepInputs(NamedTuple):
    """What a captured step is given, on the device: `indices` and `views` int64 [N] of its batch, the number of the
    `step` in its epoch int64 [1], and `teacher_logits` float32 [N, outputs] where they were prefetched.
    """

    indices: Tensor
    views: Tensor
    step: Tensor
    teacher_logits: Tensor | None


class StepInputBatches:
    """The epochs of `batches` without their pixels, which the captured step renders itself."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[StepInputs]:
        device = self._batches.device
        numbers = torch.arange(len(self._batches), device=device).unsqueeze(1)
        for number, _, on_device, logits in self._batches.epoch_steps():
            yield StepInputs(on_device.which[number], on_device.view[number], numbers[number], logits)


class Capturer(Protocol):
    """Runs the steps: a GPU that can capture them. `run` for the first `WARM_UP` ones, then `capture` once."""

    def run(self, work: Callable[[], None]) -> None:
        """Do the work now, under the conditions of the capture."""
        ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """A function that replays the work on the same memory. The work itself is not done yet."""
        ...


class CudaGraphs:
    """`Capturer` on a CUDA GPU. Warm-up steps run on the stream of the capture, whose memory pool they fill."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()

    def run(self, work: Callable[[], None]) -> None:
        """Do the work on the capture's stream, in order with the work of the current one."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Replays of a CUDA graph. `InputError` where something in the work cannot be captured."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise InputError(
                f"train.compile = 'graph' cannot capture this step ({first_line(error)}): take 'default'"
            ) from error
        return graph.replay


def capturer() -> Capturer:
    """This machine's. `EnvironmentProblem` where there is none."""
    if not torch.cuda.is_available():
        raise EnvironmentProblem("train.compile = 'graph' captures steps on a CUDA GPU, and there is none: take 'off'")
    return CudaGraphs()


# (indices, views, teacher_logits, gain of the soft loss) of a batch -> its losses by name, and `output` [N, outputs].
Losses = Callable[[Tensor, Tensor, Tensor | None, Tensor], dict[str, Tensor]]


class CapturedStep:
    """One step of a training as replayable work.

    Call order: `begin_epoch(epoch)`, then the step itself with its `StepInputs`, as often as the epoch has steps.
    `history` float32 [steps, losses] has the epoch's losses, its columns by `names`; `output` float [N, outputs] is the
    network's latest.
    """

    output: Tensor

    def __init__(
        self,
        losses: Losses,
        names: tuple[str, ...],
        optimizer: torch.optim.Optimizer,
        autocast: Callable[[], AbstractContextManager[None]],
        *,
        rates: Callable[[int], list[float]],
        gains: Callable[[int], list[float]],
        device: torch.device,
    ) -> None:
        """`rates(epoch)`: the factor of each step's learning rate; `gains(epoch)`: that of its soft loss;
        `autocast()`: the precision of the forward pass.
        """
        self.names = names
        self._losses, self._optimizer, self._autocast, self._device = losses, optimizer, autocast, device
        self._rates_of, self._gains_of = rates, gains
        self._capturer = capturer()
        self._warm = 0
        self._replay: Callable[[], None] | None = None
        self._inputs: StepInputs | None = None
        self._base_rates = [group["initial_lr"] for group in optimizer.param_groups]
        # The optimiser reads its rates on the device in every step.
        self._rate = torch.tensor(self._base_rates, dtype=torch.float32, device=device)
        for place, group in enumerate(optimizer.param_groups):
            group["lr"] = self._rate[place]
            if "capturable" in group:
                group["capturable"] = device.type == "cuda"

    def begin_epoch(self, epoch: int) -> None:
        """Write the epoch's tables, in the memory of the last epoch's: that is where the captured step reads them."""
        factors = torch.tensor(self._rates_of(epoch), dtype=torch.float64)
        rates = factors[:, None] * torch.tensor(self._base_rates, dtype=torch.float64)
        gains = torch.tensor(self._gains_of(epoch))
        if not hasattr(self, "_rates"):
            self._rates = torch.empty(rates.shape, device=self._device)
            self._gains = torch.empty(gains.shape, device=self._device)
            self.history = torch.empty(len(gains), len(self.names), device=self._device)
        self._rates.copy_(rates)
        self._gains.copy_(gains)

    def discard(self) -> None:
        """Capture anew, because other weights learn from now on."""
        self._warm, self._replay = 0, None

    def __call__(self, inputs: StepInputs) -> None:
        """Do the step. The first ones run as they are, all others are replays."""
        if self._inputs is None:
            logits = None if inputs.teacher_logits is None else inputs.teacher_logits.clone()
            self._inputs = StepInputs(inputs.indices.clone(), inputs.views.clone(), inputs.step.clone(), logits)
        mine = self._inputs
        torch._foreach_copy_([mine.indices, mine.views, mine.step], [inputs.indices, inputs.views, inputs.step])
        if mine.teacher_logits is not None and inputs.teacher_logits is not None:
            mine.teacher_logits.copy_(inputs.teacher_logits)
        if self._warm < WARM_UP:
            self._warm += 1
            self._capturer.run(self._work)
            return
        if self._replay is None:
            self._replay = self._capturer.capture(self._work)
        self._replay()

    def _work(self) -> None:
        """From the numbers of images and views to new weights, without a decision of the CPU."""
        inputs = self._inputs
        assert inputs is not None
        self._rate.copy_(self._rates.index_select(0, inputs.step)[0])
        self._optimizer.zero_grad()
        with self._autocast():
            gain = self._gains.index_select(0, inputs.step)[0]
            parts = self._losses(inputs.indices, inputs.views, inputs.teacher_logits, gain)
        parts["loss"].backward()
        self._optimizer.step()
        found = torch.stack([parts[name].detach().float() for name in self.names])
        self.history.index_copy_(0, inputs.step, found[None])
        self.output = parts["output"].detach()
