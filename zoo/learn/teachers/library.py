"""A classifier of timm or torchvision with its trained weights, fed as its library feeds it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from zoo.data import DataConfig
from zoo.errors import InputError, need
from zoo.models.checkpoint import About
from zoo.models.config import Network
from zoo.models.construct import build, shadow
from zoo.models.eager import EagerNetwork
from zoo.models.library import HUB, usual
from zoo.models.normalisation import Normalised
from zoo.models.weights.adopt import adopt, trained_weights
from zoo.models.weights.hub import library_network, with_settings
from zoo.models.weights.key_order import under_own_names
from zoo.tasks.classification import Classification


def from_library(model: str, weights: str, labels: Sequence[str] = ()) -> EagerNetwork:
    """timm:NAME or torchvision:NAME as its users run it.

    `weights`: a .safetensors or .pth file, whose number of classes is taken, `package` or `hub`. `labels`: names of the
    outputs, in their order; numbers if there are none. `InputError` says what does not fit.
    """
    need(model.partition(":")[0], extra="train", purpose=f"measuring {model}")
    spec = Network(model=model, weights=weights)
    habit = usual(model)
    if weights == HUB:
        network = library_network(spec)
        classes = len(network.get_parameter(f"{_last_dense(network, model)}.weight"))
    else:
        bare = with_settings(spec).model_copy(update={"weights": ""})
        two = shadow(bare, classes=2, size=habit.size)
        head = f"{_last_dense(two, model)}.weight"
        state, origin = trained_weights(spec, two.state_dict())
        renamed = under_own_names(state, two.state_dict())
        if head not in renamed:
            raise InputError(f"{origin} does not fit {model}: it has no '{head}'")
        classes = len(renamed[head])
        network = build(bare, classes=classes, size=habit.size)
        adopt(network, state, origin, head_may_be_fresh=False)
    if labels and len(labels) != classes:
        raise InputError(f"{model} has {classes} outputs in {weights}, and {len(labels)} labels are given")
    about = About(
        name=model.partition(":")[2],
        role="teacher",
        task=Classification.name,
        network=spec,
        labels=list(labels) or [str(number) for number in range(classes)],
        data=DataConfig(
            size=habit.size, resize=habit.resize(habit.size), mean=_three(habit.mean), std=_three(habit.std)
        ),
        seed=0,
        metrics={},
        provenance={"model": model, "weights": weights},
    )
    whole = Normalised(network, about.data.mean, about.data.std).to(memory_format=torch.channels_last)
    return EagerNetwork(whole, about)


def _last_dense(network: nn.Module, model: str) -> str:
    dense = [name for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    if not dense:
        raise InputError(f"{model} has no dense layer: how many classes its weights know cannot be told")
    return dense[-1]


def _three(channels: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = channels
    return red, green, blue
