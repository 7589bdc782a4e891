"""Learning tags: binary cross-entropy of each."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from zoo.tasks import tagging as trained
from zoo.tasks.learning.task import LearnableTask, over


class Tagging(trained.Tagging, LearnableTask):
    """Any number of tags per image. Logits [N, tags], targets float32 [N, tags] in 0 to 1."""

    def hard(self, output: Tensor, targets: Tensor, labelled: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Binary cross-entropy, summed over tags, averaged over images; `smoothing` draws targets towards one half."""
        targets = targets * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(output.float(), targets, reduction="none").sum(dim=1)
        return over(losses, labelled)
