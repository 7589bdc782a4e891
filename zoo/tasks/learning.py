"""What the three problems differ in while a network learns: hard loss, fitting soft losses, what views do to targets.

Metric and decoding, which apps need without torch, come from `zoo.tasks.base`. Each task says which soft `losses`
fit it, the usual one first, whether images may be blended (mixup, cutmix), whether its answers become probabilities
that sum to 1 (`softmax`), and whether a view `moves` its targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.tasks import base as trained
from zoo.tasks.geometry import Geometry


class Classification(trained.Classification):
    """One class per image. Logits [N, classes], targets int64 [N]."""

    losses = ("kd", "dkd", "dist", "wttm", "hard_label")
    blends = softmax = True
    moves = False

    def hard(self, output: Tensor, targets: Tensor, labelled: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, averaged over the images whose label may be used (bool [N]); zero when there is none.

        `smoothing`: the share of the target that is spread over all classes.
        """
        losses = F.cross_entropy(output.float(), targets, reduction="none", label_smoothing=smoothing)
        return _over(losses, labelled)

    def moved(self, targets: Tensor, geometry: Geometry) -> Tensor:
        """A class stays what it is."""
        del geometry
        return targets


class Tagging(trained.Tagging):
    """Any number of tags per image. Logits [N, tags], targets float32 [N, tags] in 0 to 1."""

    losses = ("bernoulli_kl", "bce")
    blends, softmax, moves = True, False, False

    def hard(self, output: Tensor, targets: Tensor, labelled: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Binary cross-entropy, summed over tags, averaged over images; `smoothing` draws targets towards one half."""
        targets = targets * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(output.float(), targets, reduction="none").sum(dim=1)
        return _over(losses, labelled)

    def moved(self, targets: Tensor, geometry: Geometry) -> Tensor:
        """Tags stay what they are."""
        del geometry
        return targets


class Keypoints(trained.Keypoints):
    """Named points. Answers and targets float32 [N, 2 points], -1 and 1 at the edges; NaN where nothing was marked."""

    losses = ("mse", "smooth_l1")
    blends = False  # a blend of two faces has no nose
    softmax = False
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


AnyTask = Classification | Tagging | Keypoints
TASKS: dict[str, type[AnyTask]] = {task.name: task for task in (Classification, Tagging, Keypoints)}


def _over(losses: Tensor, labelled: Tensor) -> Tensor:
    """Mean over the labelled images; zero when there is none."""
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)


@cache
def _partners(names: tuple[str, ...], device: torch.device) -> Tensor:
    """The place of each point's other side, kept where the points are: a copy in every step would wait for a GPU."""
    return torch.tensor([names.index(_other_side(name, names)) for name in names], device=device)


def _other_side(name: str, names: Sequence[str]) -> str:
    """The point that takes `name`'s place in a mirror: left and right swapped where that name exists."""
    words = {"left": "right", "right": "left"}
    swapped = "_".join(words.get(word, word) for word in name.split("_"))
    return swapped if swapped in names else name
