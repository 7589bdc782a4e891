"""A task owns everything that differs between problems: hard loss, soft loss and metric.

Decoding for apps stands under the same name in `zoo.engines.decoding`, where no torch is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from zoo.learn.losses import kd


@dataclass(frozen=True)
class Classification:
    """One class per image. Logits [N, classes], targets int64 [N]."""

    name = "classification"
    metric = "top1"

    def hard(self, logits: Tensor, targets: Tensor, labelled: Tensor) -> Tensor:
        """Mean cross-entropy over the images whose label may be used (bool [N]); zero when there is none."""
        losses = F.cross_entropy(logits.float(), targets, reduction="none") * labelled
        return losses.sum() / labelled.sum().clamp(min=1)

    def soft(self, logits: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
        """How far the student's answer is from the teacher's."""
        return kd(logits, teacher, temperature=temperature)

    def score(self, logits: Tensor, targets: Tensor) -> float:
        """Top-1 accuracy, 0 to 1."""
        return (logits.argmax(1) == targets).float().mean().item()


TASKS = {task.name: task for task in (Classification(),)}


def evaluate(network: torch.nn.Module, images: Tensor, *, batch: int = 256) -> Tensor:
    """Answers of a network that takes uint8 [N, H, W, 3], in eval mode and without gradient: [N, size] on the CPU."""
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        answers = [network(part).float().cpu() for part in images.split(batch)]
    network.train(was_training)
    return torch.cat(answers)
