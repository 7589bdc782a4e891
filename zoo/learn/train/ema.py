"""An exponential moving average of the weights, which is tested and saved instead of them (`AveragedModel`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from zoo.learn.train.learner import Learner


class Ema(Callback):
    """Average the weights and BatchNorm statistics of a learner's network after every step.

    Lightning's own callback copies the whole module, teacher and images with it; this one copies the network.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay

    def setup(self, trainer: L.Trainer, module: Learner, stage: str) -> None:
        """Start from the initial weights, before the state of a stopped training is loaded."""
        del trainer, stage
        self._average = AveragedModel(module.network, use_buffers=True)
        self._update = get_ema_multi_avg_fn(self._decay)
        self._steps = 0

    def on_fit_start(self, trainer: L.Trainer, module: Learner) -> None:
        """Move the average to the network's device."""
        del trainer
        self._average.to(module.device)
        by_type: dict[torch.dtype, list[tuple[Tensor, Tensor]]] = {}
        for ours, theirs in self._pairs(module):
            by_type.setdefault(ours.dtype, []).append((ours, theirs))
        # (averages, weights) by type. They stay the same tensors: collecting them in every step would take longer than
        # averaging them.
        self._columns = [tuple(map(list, zip(*pairs, strict=True))) for pairs in by_type.values()]

    def on_train_batch_end(self, trainer: L.Trainer, module: Learner, *_: Any) -> None:
        """One step of the average: as torch does it, with the number of steps counted on the CPU."""
        del trainer, module
        for averages, weights in self._columns:
            if self._steps:
                self._update(averages, weights, None)
            else:
                torch._foreach_copy_(averages, weights)
        self._steps += 1

    def on_validation_epoch_start(self, trainer: L.Trainer, module: Learner) -> None:
        """Test the average, not the weights of the last step."""
        del trainer
        self._exchange(module)

    def on_validation_epoch_end(self, trainer: L.Trainer, module: Learner) -> None:
        """Go on learning with the weights of the last step."""
        del trainer
        self._exchange(module)

    def on_train_end(self, trainer: L.Trainer, module: Learner) -> None:
        """Save the average: from here on it is the network."""
        del trainer
        self._exchange(module)

    def state_dict(self) -> dict[str, Any]:
        """The average, for resuming."""
        self._average.n_averaged.fill_(self._steps)
        return self._average.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a stopped training's average."""
        self._average.load_state_dict(state_dict)
        self._steps = int(self._average.n_averaged)

    def _pairs(self, module: Learner) -> Iterator[tuple[Tensor, Tensor]]:
        """Every weight and statistic of the average beside that of the network, without their gradients."""
        ours, theirs = self._average.module, module.network
        for a, b in zip(
            itertools.chain(ours.parameters(), ours.buffers()),
            itertools.chain(theirs.parameters(), theirs.buffers()),
            strict=True,
        ):
            yield a.detach(), b.detach()

    def _exchange(self, module: Learner) -> None:
        for a, b in self._pairs(module):
            kept = a.clone()
            a.copy_(b)
            b.copy_(kept)
