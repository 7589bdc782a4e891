"""What a network says of many images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def evaluate(network: nn.Module, images: Tensor, *, batch: int = 256) -> Tensor:
    """Logits of a network for uint8 [N, H, W, 3], in eval mode and without gradient: float32 [N, outputs] on the CPU.

    They are computed on the network's device, `batch` images at a time, on a GPU in fp32 without TF32.
    """
    was_training = network.training
    place = next((weights.device for weights in network.parameters()), torch.device("cpu"))
    network.eval()
    with torch.inference_mode(), _without_tf32():
        logits = [network(part.to(place)).float().cpu() for part in images.split(batch)]
    network.train(was_training)
    return torch.cat(logits)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """TF32 keeps 10 bits of mantissa: enough for a training step, too few for a score."""
    backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed
