"""Distillation of values, such as keypoint coordinates: student and teacher [N, values], in the same unit."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from zoo.learn.losses.precision import in_fp32
from zoo.learn.losses.soft_loss import soft_loss


@soft_loss(tasks=("keypoints",))
@in_fp32
def mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared difference, averaged over values and batch."""
    return F.mse_loss(student, teacher)


@soft_loss(tasks=("keypoints",), parameters={"beta": 1.0})
@in_fp32
def smooth_l1(student: Tensor, teacher: Tensor, *, beta: float) -> Tensor:
    """0.5 * d^2 / beta where |d| < beta, |d| - beta / 2 beyond, averaged over values and batch.

    A teacher that is far off on a few values pulls less than it does under `mse`.
    """
    return F.smooth_l1_loss(student, teacher, beta=beta)
