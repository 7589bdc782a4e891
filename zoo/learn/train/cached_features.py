"""Training a head on stored features: a frozen body computes them once for each view of each image, not once an epoch.

The features lie in the same kind of store as soft labels, in half precision, under the body's fingerprint.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from zoo.data import ImageSet
from zoo.data.views import Views
from zoo.learn.batch import Batch
from zoo.learn.teachers.soft_labels import SoftLabels, view_set
from zoo.learn.train.batches import Batches, onto
from zoo.learn.train.schedule import head_of
from zoo.models.fingerprint import fingerprint
from zoo.models.normalisation import Normalised
from zoo.models.outputs import Outputs, outputs_of
from zoo.preprocess import Preprocessing
from zoo.progress import track

BATCH = 64


class FeatureHead(nn.Module):
    """The head as a network of its own: features [N, F] -> logits [N, outputs]."""

    def __init__(self, head: nn.Module, shape: tuple[int, ...]) -> None:
        """`shape`: of one image's features as the head takes them, F numbers in all."""
        super().__init__()
        self.network = head
        self._shape = shape

    def forward(self, features: Tensor) -> Tensor:
        """The whole network's logits."""
        return self.outputs(features).main

    def outputs(self, features: Tensor) -> Outputs:
        """The same: what comes before the head, auxiliary heads among it, does not learn."""
        return outputs_of(self.network(features.float().unflatten(1, self._shape)))


class FrozenBody:
    """All of a network but its head, in eval mode and without gradient. `shape`: of one image's features."""

    def __init__(self, network: Normalised, size: int) -> None:
        """`size`: the side in pixels of the images that the network sees."""
        self._network, self._size, self.head = network.eval(), size, head_of(network.network)
        self.shape = tuple(self._head_input(torch.zeros(1, size, size, 3, dtype=torch.uint8)).shape[1:])

    @torch.no_grad()
    def _head_input(self, images: Tensor) -> Tensor:
        """What the head is given when the network runs."""
        found: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _head, inputs: found.append(inputs[0]))
        try:
            self._network(images)
        finally:
            hook.remove()
        return found[0]

    def features(self, images: Tensor) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] -> float32 [N, F]."""
        parts = [self._head_input(part).flatten(1).float().numpy() for part in images.split(BATCH)]
        return np.concatenate(parts)

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of architecture, weights, mean and std, without the head, and the side that it sees: what stored
        features belong to.
        """
        return fingerprint(self._network, f"body size={self._size}", without=self.head)


class FeatureBatches(Batches):
    """The same batches, with the features of each view, float32 [N, F], in the place of its pixels."""

    store: SoftLabels

    def __iter__(self) -> Iterator[Batch]:
        """No view is rendered: the store has the features of all of them."""
        for number, order, on_device, _ in self.epoch_steps():
            which, view = on_device.which[number], on_device.view[number]
            features = torch.from_numpy(self.store.get(order.which[number].numpy(), order.view[number].numpy()))
            targets = self._targets_of(order, on_device, number)
            yield Batch(onto(features, self.device), targets, self._labelled[which], which, view)


def stored_features(
    body: FrozenBody, images: ImageSet, views: Views, preprocessing: Preprocessing, stores: Path
) -> tuple[SoftLabels, float]:
    """The features of every view of every image, and the seconds it took to compute those that were missing.

    `preprocessing`: how the images were made. The store is a folder below `stores`.
    """
    store = SoftLabels.within(
        stores,
        images=len(images),
        views=views.count,
        outputs=int(np.prod(body.shape)),
        data=images.fingerprint,
        view_set=view_set(views, preprocessing),
        teacher=body.fingerprint,
    )
    began = time.perf_counter()
    pixels = torch.from_numpy(images.images)
    with track("computing features", views.count * len(images)) as advance:
        for view in range(views.count):
            for which in torch.arange(len(images)).split(BATCH):
                seen = torch.full_like(which, view)
                if not store.has(which.numpy(), seen.numpy()).all():
                    rendered = views.apply(pixels[which], seen, which)
                    store.put(which.numpy(), seen.numpy(), body.features(rendered))
                advance(len(which))
    return store, time.perf_counter() - began


def as_features(body: FrozenBody, images: ImageSet) -> ImageSet:
    """A set of test images whose `images` are features, float32 [N, F]."""
    features: npt.NDArray[np.float32] = body.features(torch.from_numpy(images.images))
    return replace(images, images=features)  # type: ignore[arg-type]
