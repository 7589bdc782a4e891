"""Distillation of tags: every column of the logits [N, tags] is a yes or no of its own."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from zoo.learn.losses.precision import in_fp32
from zoo.learn.losses.soft_loss import soft_loss


@soft_loss(tasks=("tagging",), weights=(1.0, 10.0))
@in_fp32
def bernoulli_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(Bernoulli(sigmoid(teacher)) || Bernoulli(sigmoid(student))), summed over tags, averaged over the batch.

    Taken from log-sigmoids, hence finite at any logit; upstream's clamp at 1 - 1e-8 rounds to 1 and lets infinity by.
    """
    yes = teacher.sigmoid() * (F.logsigmoid(teacher) - F.logsigmoid(student))
    no = (-teacher).sigmoid() * (F.logsigmoid(-teacher) - F.logsigmoid(-student))
    return (yes + no).sum(1).mean()


@soft_loss(tasks=("tagging",), parameters={"temperature": 1.0})
@in_fp32
def bce(student: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Binary cross-entropy with the targets sigmoid(teacher / T), summed over tags, averaged over the batch, no T^2.

    A perfect student keeps the teacher's own entropy as loss; only the gradient is zero.
    """
    targets = (teacher / temperature).sigmoid()
    return F.binary_cross_entropy_with_logits(student / temperature, targets, reduction="none").sum(1).mean()
