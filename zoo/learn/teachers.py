"""A teacher answers a batch with logits. It never learns: eval mode, no gradient, no buffer of it ever changes."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data import ImageSet
from zoo.data.views import CropFlip
from zoo.images import Framing
from zoo.learn import checkpoint
from zoo.learn.checkpoint import About
from zoo.learn.soft_labels import SoftLabels
from zoo.models.cost import Cost, cost
from zoo.progress import track


class Batch(NamedTuple):
    """What a student is shown. `images` uint8 [N, H, W, 3] are view `views[i]` of the training image `indices[i]`."""

    images: Tensor
    targets: Tensor
    labelled: Tensor
    indices: Tensor
    views: Tensor


class Teacher(Protocol):
    """Anything that answers: a network, its stored answers, a recorded black box."""

    def answer(self, batch: Batch) -> Tensor:
        """Float32 logits [N, classes], on the batch's device."""
        ...


class OnlineTeacher:
    """A network that is asked each time. `size`: the side it sees, where it differs from the batch's."""

    def __init__(self, network: nn.Module, *, size: int | None = None) -> None:
        self.network = network.eval().requires_grad_(False)
        self.size = size

    @torch.no_grad()
    def answer(self, batch: Batch) -> Tensor:
        """Float32 logits [N, classes]."""
        images = batch.images
        self.network.to(images.device)
        if self.size is not None and self.size != images.shape[1]:
            planes = images.permute(0, 3, 1, 2).float()
            planes = F.interpolate(planes, size=(self.size, self.size), mode="bilinear", antialias=True)
            images = planes.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        logits: Tensor = self.network(images).float()
        return logits

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of weights and resolution: what stored answers belong to."""
        digest = hashlib.sha256(f"size={self.size}".encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Tally:
    """How many answers were asked of the network, in how many seconds, and how many were read instead."""

    asked: int = 0
    reused: int = 0
    seconds: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.asked + other.asked, self.reused + other.reused, self.seconds + other.seconds)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.asked - other.asked, self.reused - other.reused, self.seconds - other.seconds)

    def as_dict(self) -> dict[str, float]:
        """The three numbers by name."""
        return {"asked": self.asked, "reused": self.reused, "seconds": round(self.seconds, 2)}


class CachedTeacher:
    """Answers from `SoftLabels`; what is not there yet is asked of the online teacher once and kept.

    Every answer passes through the store's fp16, asked just now or long ago, so that training does not depend on what
    happened to be stored before.
    """

    def __init__(self, online: OnlineTeacher, store: SoftLabels) -> None:
        self.online, self.store = online, store
        self.tally = Tally()

    def answer(self, batch: Batch) -> Tensor:
        """Float32 logits [N, classes]."""
        indices, views = batch.indices.cpu().numpy(), batch.views.cpu().numpy()
        missing = np.flatnonzero(~self.store.has(indices, views))
        seconds = 0.0
        if len(missing):
            began = time.perf_counter()
            chosen = torch.from_numpy(missing).to(batch.images.device)
            part = Batch(*(column[chosen] for column in batch))
            self.store.put(indices[missing], views[missing], self.online.answer(part).cpu().numpy())
            seconds = time.perf_counter() - began
        self.tally += Tally(len(missing), len(indices) - len(missing), seconds)
        return torch.from_numpy(self.store.get(indices, views)).to(batch.images.device)


def answer_everything(teacher: CachedTeacher, images: ImageSet, views: CropFlip, *, batch: int) -> None:
    """Have every view of every image answered, so that no later training needs the network."""
    pixels, targets = torch.from_numpy(images.images), torch.from_numpy(images.targets)
    with track("answering every view", views.count * len(images)) as advance:
        for view in range(views.count):
            for which in torch.arange(len(images)).split(batch):
                seen = torch.full_like(which, view)
                shown = views.apply(pixels[which], seen)
                teacher.answer(Batch(shown, targets[which], torch.ones_like(which, dtype=torch.bool), which, seen))
                advance(len(which))


class TorchTeacher:
    """A trained network as its users run it today: torch eager, numpy in and out."""

    def __init__(self, network: nn.Module, about: About) -> None:
        self.network = network.eval()
        self.about = about
        self.labels = about.labels
        self.framing: Framing = about.data.framing
        self.cost: Cost = cost(network.network, about.data.size, about.data.size)  # type: ignore[arg-type]

    def answer_pixels(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] -> float32 logits [N, classes]."""
        with torch.inference_mode():
            answer: npt.NDArray[np.float32] = self.network(torch.from_numpy(images)).float().numpy()
        return answer


def from_checkpoint(path: Path) -> TorchTeacher:
    """The network of a checkpoint, or of the folder that holds one."""
    return TorchTeacher(*checkpoint.load(path))
