"""A training step that a GPU knows by heart: recorded once as a CUDA graph, then replayed with other numbers.

At batch 64 a small network keeps a GPU busy for a third of a millisecond, and Python needs longer than that to launch
the step's hundred kernels one by one. So the step is written here as work on tensors that stay where they are: from
the numbers of images and views, over pixels, answers, losses and gradients, to new weights. What changes from step to
step is copied into those tensors; what belongs to an epoch (learning rates, the soft loss's share) is a table that the
step looks up on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from zoo.errors import EnvironmentProblem, InputError, first_line
from zoo.learn.train.batches import Batches

WARM_UP = 3  # real steps before the recording: libraries choose kernels, the compiler compiles, the optimiser allocates


class Row(NamedTuple):
    """What a recorded step is told of its batch, on the device: `indices` and `views` int64 [N], the number of the
    `step` in its epoch int64 [1], and the teacher's `answers` float32 [N, outputs] where they were fetched ahead.
    """

    indices: Tensor
    views: Tensor
    step: Tensor
    answers: Tensor | None


class Rows:
    """The epochs of `batches` without their pixels, which the recorded step makes itself."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Row]:
        device = self._batches.device
        numbers = torch.arange(len(self._batches), device=device).unsqueeze(1)
        for step, _, there, answers in self._batches.walk():
            yield Row(there.which[step], there.view[step], numbers[step], answers)


class Recorder(Protocol):
    """Who runs the steps: a GPU that records them."""

    def once(self, work: Callable[[], None]) -> None:
        """Do the work now, as the recording will."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """The work as something to be done again, on the same memory. It is not done yet."""
        ...


class CudaGraphs:
    """`Recorder` on a CUDA GPU. The steps before the recording run on its stream: memory that they leave is its own."""

    def __init__(self) -> None:
        self._stream = torch.cuda.Stream()

    def once(self, work: Callable[[], None]) -> None:
        """Do the work on the recording's stream, in its place among the work of the current one."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Replays of a CUDA graph. `InputError` where something in the work cannot be recorded."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise InputError(
                f"train.compile = 'graph' cannot record this step ({first_line(error)}): take 'default'"
            ) from error
        return graph.replay


def recorder() -> Recorder:
    """This machine's. `EnvironmentProblem` where there is none."""
    if not torch.cuda.is_available():
        raise EnvironmentProblem("train.compile = 'graph' records steps of a CUDA GPU, and there is none: take 'off'")
    return CudaGraphs()


# Losses of a batch, known by (indices, views, answers, gain of the soft loss), and the network's output.
Losses = Callable[[Tensor, Tensor, Tensor | None, Tensor], dict[str, Tensor]]


class RecordedStep:
    """One step of a training as replayable work. `history` float32 [steps, parts] has the epoch's losses, by `names`;
    `output` [N, outputs] the network's latest answers.
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
        """`rates(epoch)`: by what each step's learning rate is multiplied; `gains(epoch)`: the soft loss's share;
        `autocast()`: the precision of the forward pass.
        """
        self.names = names
        self._losses, self._optimizer, self._autocast, self._device = losses, optimizer, autocast, device
        self._factors, self._shares = rates, gains
        self._recorder = recorder()
        self._warm = 0
        self._replay: Callable[[], None] | None = None
        self._now: Row | None = None
        self._bases = [group["initial_lr"] for group in optimizer.param_groups]
        # Rates that the optimiser reads on the device, each time anew.
        self._rate = torch.tensor(self._bases, dtype=torch.float32, device=device)
        for place, group in enumerate(optimizer.param_groups):
            group["lr"] = self._rate[place]
            if "capturable" in group:
                group["capturable"] = device.type == "cuda"

    def enter(self, epoch: int) -> None:
        """Lay out the epoch's tables. In the places of the last epoch's, where the recording looks for them."""
        factors = torch.tensor(self._factors(epoch), dtype=torch.float64)
        rates = factors[:, None] * torch.tensor(self._bases, dtype=torch.float64)
        gains = torch.tensor(self._shares(epoch))
        if not hasattr(self, "_rates"):
            self._rates = torch.empty(rates.shape, device=self._device)
            self._gains = torch.empty(gains.shape, device=self._device)
            self.history = torch.empty(len(gains), len(self.names), device=self._device)
        self._rates.copy_(rates)
        self._gains.copy_(gains)

    def forget(self) -> None:
        """Record anew: other weights learn from now on."""
        self._warm, self._replay = 0, None

    def __call__(self, row: Row) -> None:
        """Do the step. The first ones are done plainly, all others by replaying."""
        if self._now is None:
            answers = None if row.answers is None else row.answers.clone()
            self._now = Row(row.indices.clone(), row.views.clone(), row.step.clone(), answers)
        now = self._now
        torch._foreach_copy_([now.indices, now.views, now.step], [row.indices, row.views, row.step])
        if now.answers is not None and row.answers is not None:
            now.answers.copy_(row.answers)
        if self._warm < WARM_UP:
            self._warm += 1
            self._recorder.once(self._work)
            return
        if self._replay is None:
            self._replay = self._recorder.record(self._work)
        self._replay()

    def _work(self) -> None:
        """From the numbers of images and views to new weights, without a word from the CPU."""
        now = self._now
        assert now is not None
        self._rate.copy_(self._rates.index_select(0, now.step)[0])
        self._optimizer.zero_grad()
        with self._autocast():
            parts = self._losses(now.indices, now.views, now.answers, self._gains.index_select(0, now.step)[0])
        parts["loss"].backward()
        self._optimizer.step()
        found = torch.stack([parts[name].detach().float() for name in self.names])
        self.history.index_copy_(0, now.step, found[None])
        self.output = parts["output"].detach()
