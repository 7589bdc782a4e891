"""fp16: a half module between fp32 edges, and the layers that fp16 cannot hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from export.packing.execute import logits_of
from export.packing.fold import folded_with_signature
from export.packing.half import half
from export.packing.onnx import to_onnx
from zoo.errors import VerdictError
from zoo.graphs.model import count, weights
from zoo.graphs.strong_types import problems
from zoo.models.evaluate import evaluate
from zoo.models.normalisation import Normalised

IMAGES = np.random.default_rng(0).integers(256, size=(12, 16, 16, 3), dtype=np.uint8)


class Loud(nn.Module):
    """A block whose answer is far beyond fp16, added to itself, and a convolution that brings it back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.loud = nn.Conv2d(8, 8, 3, padding=1)
        self.quiet = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 8, 3)
        self.pool = nn.AdaptiveAvgPool2d((7, 7))  # of a 14 x 14 map: a plain pool of 2
        self.head = nn.Linear(8 * 49, 4)
        with torch.no_grad():
            self.loud.weight *= 1e6
            self.quiet.weight *= 1e-6

    def forward(self, x):
        high = torch.relu(self.loud(torch.relu(self.first(x))))
        low = self.quiet(high + high)
        return self.head(self.pool(torch.relu(self.last(low))).flatten(1))


def with_signature(network: nn.Module) -> Normalised:
    return Normalised(network, (0.5,) * 3, (0.25,) * 3).eval()


def half_weights(model) -> int:
    return sum(tensor.data_type == 10 for tensor in weights(model).values())


def test_layers_that_overflow_are_found_and_stay_in_fp32():
    network = with_signature(Loud())
    form = half(folded_with_signature(network), IMAGES)
    assert set(form.kept) == {"loud", "relu_1", "add", "quiet"}
    assert "and fp16 ends at 65504" in form.kept["loud"]
    assert form.kept["quiet"].startswith("its input reaches")

    model = to_onnx(form.network, 16, 16, name="loud")
    assert (half_weights(model), len(weights(model))) == (3, 5)
    assert problems(model) == []
    expected = evaluate(network, torch.from_numpy(IMAGES)).numpy()
    answers = logits_of(model, IMAGES)
    assert np.abs(answers - expected).max() < 5e-3 * max(1, np.abs(expected).max())

    with torch.no_grad():  # what it would have been
        assert not torch.isfinite(network.network.half()(torch.from_numpy(IMAGES).permute(0, 3, 1, 2).half())).all()


def test_a_network_that_fits_gains_two_casts_and_adaptive_pools_none():
    network = Loud()
    with torch.no_grad():
        network.loud.weight /= 1e6
        network.quiet.weight *= 1e6
    form = half(folded_with_signature(with_signature(network)), IMAGES)
    assert form.kept == {}
    model = to_onnx(form.network, 16, 16, name="calm")
    assert count(model, "Cast") == 1 + 2
    assert half_weights(model) == len(weights(model)) == 5


def test_a_network_that_cannot_be_traced_is_watched_all_the_same():
    class Branching(Loud):
        def forward(self, x):
            return super().forward(x if x.mean() > -1e9 else -x)

    with pytest.raises(VerdictError, match=r"fp16 cannot hold this network: loud reaches .* leave fp16 out"):
        half(folded_with_signature(with_signature(Branching())), IMAGES)
