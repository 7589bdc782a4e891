"""The training loop of most research code on distillation, written again as a baseline.

Worker processes augment one picture at a time with torchvision, batches are NCHW and fp32, the teacher runs in every
step, the loss is read back in every step, nothing is compiled, and the optimiser is not fused. The loops of mdistiller
(engine/trainer.py) and torchdistill have that in common; none of their code is used. Networks, losses, weights and
batch size are those of the other ways: only the loop differs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from zoo.data import ImageSet
from zoo.data.config import DataConfig
from zoo.learn.losses.soft_part import SoftPart
from zoo.learn.recipe.schema import Training
from zoo.machine import cores
from zoo.tasks.learning.task import LearnableTask

WORKERS = 8  # mdistiller's default; fewer on a machine with fewer cores


class _Augmented(Dataset[tuple[Tensor, Any]]):
    """One picture at a time, augmented at random as the recipe's views are drawn: float [3, H, W] and its target."""

    def __init__(self, images: ImageSet, data: DataConfig, length: int) -> None:
        from torchvision import transforms

        crop: list[Any] = [transforms.RandomCrop(data.size, padding=data.pad)] if data.augment == "shift" else []
        if data.augment == "crop":
            crop = [transforms.RandomResizedCrop(data.size, data.scale, data.ratio)]
            crop += [transforms.ColorJitter(data.jitter, data.jitter, data.jitter)] if data.jitter else []
        flip = [transforms.RandomHorizontalFlip()] if data.flip else []
        self._images, self._length = images, length
        self._steps = transforms.Compose(
            [transforms.ToPILImage(), *crop, *flip, transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
        )

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        place = index % len(self._images)
        return self._steps(self._images.images[place]), self._images.targets[place]


class PlainLoop:
    """A student, a teacher and their loop. Both networks are the bare ones: float [N, 3, H, W] in."""

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        task: LearnableTask,
        soft: SoftPart,
        settings: Training,
        *,
        teacher_size: int | None = None,
    ) -> None:
        """`teacher_size`: the side that the teacher sees, where it differs."""
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._student = student.to(memory_format=torch.contiguous_format).to(self._device).train()
        self._teacher = teacher.to(memory_format=torch.contiguous_format).to(self._device).eval()
        self._task, self._soft, self._settings, self._size = task, soft, settings, teacher_size

    def run(self, images: ImageSet, data: DataConfig, before_step: Callable[[int], object], *, steps: int) -> float:
        """Train for `steps` steps, calling `before_step(number)` before each one and after the last; the mean loss."""
        settings, device = self._settings, self._device
        workers = min(WORKERS, cores())
        loader = DataLoader(
            _Augmented(images, data, steps * settings.batch),
            batch_size=settings.batch,
            shuffle=True,
            num_workers=workers,
            pin_memory=device.type == "cuda",
        )
        weights = self._student.parameters()
        optimizer = torch.optim.SGD(
            weights, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
        hard_weight, soft_weight = self._soft.weights
        found = []
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
        try:
            for step, (pixels, targets) in enumerate(loader):
                before_step(step)
                shown = pixels.float().to(device, non_blocking=True)
                wanted = targets.to(device, non_blocking=True)
                every = torch.ones(len(wanted), dtype=torch.bool, device=device)
                output = self._student(shown)
                with torch.no_grad():
                    logits = self._teacher(shown if self._size is None else F.interpolate(shown, self._size))
                loss = hard_weight * self._task.hard(output, wanted, every)
                loss = loss + soft_weight * self._soft.between(output, logits, wanted)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                found.append(loss.item())
            before_step(steps)
        finally:
            torch.backends.cudnn.benchmark = before
        return float(np.mean(found))
