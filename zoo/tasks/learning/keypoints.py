"""Learning named points: squared error, and targets that move with the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from zoo.tasks import keypoints as trained
from zoo.tasks.geometry import Geometry
from zoo.tasks.learning.task import LearnableTask


class Keypoints(trained.Keypoints, LearnableTask):
    """Named points. Outputs and targets float32 [N, 2 points], -1 and 1 at the edges; NaN where nothing was marked."""

    blends = False  # a blend of two faces has no nose
    moves = True

    def hard(self, output: Tensor, targets: Tensor, labelled: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Squared error, averaged over the coordinates that are marked."""
        del smoothing  # a coordinate has no certainty to soften; recipes that ask for it are refused
        marked = ~targets.isnan() & labelled[:, None]
        errors = (output.float() - targets.nan_to_num()) * marked
        return errors.square().sum() / marked.sum().clamp(min=1)

    def moved(self, targets: Tensor, geometry: Geometry) -> Tensor:
        """Move every point, then mirror: x changes its sign, and what was a left eye is a right one."""
        points = targets.view(len(targets), -1, 2) * geometry.scale[:, None] + geometry.offset[:, None]
        x, y = points[:, _partners(tuple(self.labels), points.device)].unbind(dim=2)
        flipped = torch.stack([-x, y], dim=2)
        return torch.where(geometry.mirrored[:, None, None], flipped, points).flatten(1)


@cache
def _partners(names: tuple[str, ...], device: torch.device) -> Tensor:
    """The place of each point's other side, kept where the points are: a copy in every step would wait for a GPU."""
    return torch.tensor([names.index(_other_side(name, names)) for name in names], device=device)


def _other_side(name: str, names: Sequence[str]) -> str:
    """The point that takes `name`'s place in a mirror: left and right swapped where that name exists."""
    words = {"left": "right", "right": "left"}
    swapped = "_".join(words.get(word, word) for word in name.split("_"))
    return swapped if swapped in names else name
