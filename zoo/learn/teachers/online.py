"""A torch network as a teacher that runs in every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo.engines.torch.compiling import CompileMode, compiled
from zoo.learn.batch import Batch
from zoo.learn.teachers.inputs import TeacherInput
from zoo.models.fingerprint import fingerprint


class OnlineTeacher:
    """A network that is run for each batch. `shows`: what it sees of the batch's images, in place of `size`, the side
    in pixels where it differs from theirs; `compile`: as in a recipe's [train], for batches of one size.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        size: int | None = None,
        shows: TeacherInput | None = None,
        compile: CompileMode = "off",
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.input = shows or TeacherInput(size)
        # Within a captured step it is compiled with everything else.
        self._forward = compiled(self.network.forward, "off" if compile == "graph" else compile)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of architecture, weights, mean, std, and what the network sees: size, crop and interpolation."""
        return fingerprint(self.network, self.input.fingerprint)

    def to(self, device: torch.device) -> None:
        """Move the network. Needed before a compiled step, because the compiler cannot follow weights that move."""
        self.network.to(device)

    def prefetch(self, indices: Tensor, views: Tensor, batch_of: Callable[[int], Batch]) -> None:
        """Nothing: there is no store."""

    @torch.no_grad()
    def logits(self, batch: Batch) -> Tensor:
        """Float32 [N, outputs]. The network follows the batch to its device."""
        first = next(self.network.parameters(), None)
        if first is None or first.device != batch.images.device:  # going through all weights in every step takes time
            self.network.to(batch.images.device)
        logits: Tensor = self._forward(self.input.shown(batch.images))
        return logits.float()
