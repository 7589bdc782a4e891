"""A teacher answers a batch with logits. It never learns: eval mode, no gradient, no buffer of it ever changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.engines.torch.compiling import CompileMode, compiled
from zoo.learn.teachers.soft_labels import SoftLabels
from zoo.learn.train.batches import Batch
from zoo.models import checkpoint
from zoo.models.checkpoint import About
from zoo.models.cost import Cost, cost
from zoo.models.fingerprint import fingerprint
from zoo.preprocess import Preprocessing


class Teacher(Protocol):
    """Anything that answers: a network, its stored answers, a recorded black box."""

    def answer(self, batch: Batch) -> Tensor:
        """Float32 answers [N, outputs], on the batch's device."""
        ...


class LiveTeacher(Teacher, Protocol):
    """One that can be asked about any picture, so that its answers may be stored under its name."""

    @property
    def fingerprint(self) -> str:
        """What stored answers belong to: equal fingerprints, equal answers."""
        ...


class OnlineTeacher:
    """A network that is asked each time. `size`: the side it sees, where it differs from the batch's; `compile`: as in
    a recipe's [train], for one that is asked about batches of one size.
    """

    def __init__(self, network: nn.Module, *, size: int | None = None, compile: CompileMode = "off") -> None:
        self.network = network.eval().requires_grad_(False)
        self.size = size
        # Within a recorded step it is compiled with everything else.
        self._forward = compiled(self.network.forward, "off" if compile == "graph" else compile)

    def to(self, device: torch.device) -> None:
        """Be where the batches will be. A step that is compiled must not find the network elsewhere: the compiler
        cannot follow weights that move.
        """
        self.network.to(device)

    @torch.no_grad()
    def answer(self, batch: Batch) -> Tensor:
        """Float32 answers [N, outputs]."""
        first = next(self.network.parameters(), None)
        if first is None or first.device != batch.images.device:  # to go through all weights each time is not free
            self.network.to(batch.images.device)
        logits: Tensor = self._forward(resized(batch.images, self.size))
        return logits.float()

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of architecture, weights, normalisation and resolution: what stored logits belong to."""
        return fingerprint(self.network, f"size={self.size}")


def resized(images: Tensor, size: int | None) -> Tensor:
    """uint8 or float [N, H, W, 3] of 0 to 255, at the side that a teacher sees; as they are if they have it."""
    if size is None or size == images.shape[1]:
        return images
    planes = images.permute(0, 3, 1, 2).float()
    planes = F.interpolate(planes, size=(size, size), mode="bilinear", antialias=True)
    return planes.round().clamp(0, 255).permute(0, 2, 3, 1)


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
    """Answers from `SoftLabels`; what is not there yet is asked of the live teacher once and kept.

    Every answer passes through the store's fp16, asked just now or long ago, and is asked for in full precision, so
    that training does not depend on what happened to be stored before.
    """

    def __init__(self, online: LiveTeacher, store: SoftLabels, *, originals: Tensor | None = None) -> None:
        """`originals`: all images as they are, uint8 [images, H, W, 3], for a store with one answer for each."""
        self.online, self.store, self._originals = online, store, originals
        self.tally = Tally()

    def answer(self, batch: Batch) -> Tensor:
        """Float32 answers [N, outputs]."""
        indices, views = batch.indices.cpu(), self._stored_as(batch.views.cpu())
        self._fill(indices.numpy(), views.numpy(), lambda: batch)
        return torch.from_numpy(self.store.get(indices.numpy(), views.numpy())).to(batch.images.device)

    def ahead(self, indices: Tensor, views: Tensor, show: Callable[[int], Batch]) -> Tensor:
        """The answers to several batches, float32 [steps, N, outputs] on the CPU (`zoo.learn.train.batches.Ahead`).
        What is missing is asked for batch by batch, so that it does not depend on how many are fetched at once.
        """
        views = self._stored_as(views)
        if self.store.has(indices.flatten().numpy(), views.flatten().numpy()).all():
            self.tally += Tally(reused=indices.numel())
        else:
            for step, (which, seen) in enumerate(zip(indices, views, strict=True)):
                self._fill(which.numpy(), seen.numpy(), lambda step=step: show(step))  # type: ignore[misc]
        answers = torch.from_numpy(self.store.get(indices.flatten().numpy(), views.flatten().numpy()))
        return answers.view(*indices.shape, -1)

    def _stored_as(self, views: Tensor) -> Tensor:
        """The number under which the answer to a view is kept."""
        return views if self._originals is None else torch.zeros_like(views)

    def _fill(self, indices: npt.NDArray[np.int64], views: npt.NDArray[np.int64], show: Callable[[], Batch]) -> None:
        """Ask for what is not in the store; `show` gives the whole batch."""
        missing = np.flatnonzero(~self.store.has(indices, views))
        seconds = 0.0
        if len(missing):
            began = time.perf_counter()
            batch = show()
            if self._originals is not None:
                batch = batch._replace(images=self._originals[torch.from_numpy(indices)].to(batch.images.device))
            chosen = torch.from_numpy(missing).to(batch.images.device)
            images, targets, labelled, *_ = batch
            where = batch.indices.to(chosen.device), batch.views.to(chosen.device)
            part = Batch(*(column[chosen] for column in (images, targets, labelled, *where)))
            with torch.autocast(batch.images.device.type, enabled=False):
                answers = self.online.answer(part)
            self.store.put(indices[missing], views[missing], answers.cpu().numpy())
            seconds = time.perf_counter() - began
        self.tally += Tally(len(missing), len(indices) - len(missing), seconds)


class TorchTeacher:
    """A trained network as its users run it today: torch eager, numpy in and out."""

    def __init__(self, network: nn.Module, about: About) -> None:
        self.network = network.eval()
        self.about = about
        self.task = about.problem
        self.preprocessing: Preprocessing = about.data.preprocessing
        self.cost: Cost = cost(network.network, about.data.size, about.data.size)  # type: ignore[arg-type]

    def answer_pixels(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] -> float32 answers [N, outputs]."""
        with torch.inference_mode():
            answer: npt.NDArray[np.float32] = self.network(torch.from_numpy(images)).float().numpy()
        return answer


def from_checkpoint(path: Path) -> TorchTeacher:
    """The network of a checkpoint, or of the folder that holds one."""
    return TorchTeacher(*checkpoint.load(path))
