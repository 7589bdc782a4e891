"""Learning one class per image: cross-entropy."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from zoo.tasks import classification as trained
from zoo.tasks.learning.task import LearnableTask, over


class Classification(trained.Classification, LearnableTask):
    """One class per image. Logits [N, classes], targets int64 [N]."""

    softmax = True

    def hard(self, output: Tensor, targets: Tensor, labelled: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, averaged over the images whose label may be used (bool [N]); zero when there is none.

        `smoothing`: the share of the target that is spread over all classes.
        """
        losses = F.cross_entropy(output.float(), targets, reduction="none", label_smoothing=smoothing)
        return over(losses, labelled)
