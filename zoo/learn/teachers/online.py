"""A torch network as a teacher that runs in every step."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.engines.torch.compiling import CompileMode, compiled
from zoo.learn.batch import Batch
from zoo.models.fingerprint import fingerprint


class OnlineTeacher:
    """A network that is run for each batch. `size`: the side in pixels that it sees, where it differs from the batch's;
    `compile`: as in a recipe's [train], for one whose batches all have one size.
    """

    def __init__(self, network: nn.Module, *, size: int | None = None, compile: CompileMode = "off") -> None:
        self.network = network.eval().requires_grad_(False)
        self.size = size
        # Within a captured step it is compiled with everything else.
        self._forward = compiled(self.network.forward, "off" if compile == "graph" else compile)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of architecture, weights, mean, std, and the side that the network sees."""
        return fingerprint(self.network, f"size={self.size}")

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
        logits: Tensor = self._forward(resized(batch.images, self.size))
        return logits.float()


def resized(images: Tensor, size: int | None) -> Tensor:
    """uint8 or float [N, H, W, 3], 0 to 255 -> the same at a side of `size` pixels, antialiased bilinear; unchanged if
    they have that side already or `size` is None.
    """
    if size is None or size == images.shape[1]:
        return images
    planes = images.permute(0, 3, 1, 2).float()
    planes = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
    return planes.round().clamp(0, 255).permute(0, 2, 3, 1)
