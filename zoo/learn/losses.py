"""Losses as pure functions on tensors, computed in fp32 whatever comes in.

| function | paper | upstream it equals | usual weights |
|---|---|---|---|
| `kd` | Hinton et al. 2015, arXiv:1503.02531 | mdistiller `KD.py:kd_loss` at a08d46f | T 4, 0.1 hard + 0.9 kd |
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def kd(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """T^2 * KL(softmax(teacher / T) || softmax(student / T)), summed over classes, averaged over the batch.

    `student`, `teacher`: logits [N, classes]. T^2 keeps the gradient's size independent of T, so that the weight
    against a hard loss need not change with it.
    """
    log_student = F.log_softmax(student.float() / temperature, dim=1)
    log_teacher = F.log_softmax(teacher.float() / temperature, dim=1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True) * temperature**2
