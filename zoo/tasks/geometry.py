"""What a view does to the places of points, so that targets can move with the pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Geometry(NamedTuple):
    """Where views put a point (x, y) that has -1 and 1 at the picture's edges: times `scale` [N, 2], plus `offset`
    [N, 2], and then, where `mirrored` [N], with x of the other sign.
    """

    scale: Tensor
    offset: Tensor
    mirrored: Tensor

    def to(self, device: torch.device) -> Geometry:
        """The same on another device."""
        return Geometry(*(part.to(device) for part in self))
