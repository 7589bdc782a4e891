"""Mixup (Zhang et al. 2018, arXiv:1710.09412) and CutMix (Yun et al. 2019, arXiv:1905.04899), for a whole batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.learn.batch import Batch
from zoo.learn.train.batches import onto


class Mixed(NamedTuple):
    """A batch whose image i is `share` of itself, and for the rest image `partner[i]`. The targets stay as they are:
    the loss is mixed, `share` of it against an image's own target and the rest against its partner's.
    """

    batch: Batch
    partner: Tensor
    share: float


def mixup_cutmix(batch: Batch, *, mixup: float, cutmix: float) -> Mixed | None:
    """Mix a batch by a draw from torch's generator; None when both strengths are 0.

    `mixup`, `cutmix`: a of the Beta(a, a) that `share` is drawn from; with both, one of them is drawn first, each with
    a chance of one half. After mixup images are float32, still 0 to 255.
    """
    if not mixup and not cutmix:
        return None
    patch = bool(cutmix) and (not mixup or torch.rand(()).item() < 0.5)
    strength = cutmix if patch else mixup
    share = torch.distributions.Beta(strength, strength).sample().item()
    partner = onto(torch.randperm(len(batch.images)), batch.images.device)
    if patch:
        images, share = _patched(batch.images, batch.images[partner], share)
    else:
        images = batch.images.float() * share + batch.images[partner].float() * (1 - share)
    return Mixed(batch._replace(images=images), partner, share)


def _patched(images: Tensor, others: Tensor, share: float) -> tuple[Tensor, float]:
    """Replace a box with about 1 - `share` of the area by the others' pixels. The box is clipped at the edges: also
    returned is the share of the area that is really left.
    """
    height, width = images.shape[1:3]
    half = (1 - share) ** 0.5 / 2
    y, x = (torch.rand(2) * torch.tensor([height, width])).tolist()
    top, bottom = max(0, round(y - half * height)), min(height, round(y + half * height))
    left, right = max(0, round(x - half * width)), min(width, round(x + half * width))
    patched = images.clone()
    patched[:, top:bottom, left:right] = others[:, top:bottom, left:right]
    return patched, 1 - (bottom - top) * (right - left) / (height * width)
