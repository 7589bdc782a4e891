"""A trained network as its users run it without this project: torch eager on the CPU, numpy in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from zoo.models import checkpoint
from zoo.models.checkpoint import About
from zoo.models.cost import Cost, cost
from zoo.models.normalisation import Normalised
from zoo.preprocess import Preprocessing


class EagerNetwork:
    """A network with what its checkpoint says of it (`about`), its preprocessing and its cost."""

    def __init__(self, network: Normalised, about: About) -> None:
        self.network = network.eval()
        self.about = about
        self.task = about.problem
        self.preprocessing: Preprocessing = about.data.preprocessing
        self.cost: Cost = cost(network.network, about.data.size, about.data.size)

    def logits(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] RGB -> float32 [N, outputs]."""
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = self.network(torch.from_numpy(images)).float().numpy()
        return logits


def from_checkpoint(path: Path) -> EagerNetwork:
    """The network of a checkpoint, or of the folder that holds one."""
    return EagerNetwork(*checkpoint.load(path))
