"""Networks by name: a family of ours, or a classifier of torchvision or timm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zoo import models
from zoo.errors import InputError, missing_package, nearest
from zoo.models.config import Network
from zoo.models.weights import adopt, trained_weights


def build(
    spec: Network,
    *,
    classes: int,
    size: int,
    head_may_be_fresh: bool = False,
    device: str = "cpu",
    pick: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> nn.Module:
    """The bare network of a recipe's entry, with its weights if it names any: float [N, 3, H, W] -> [N, classes].

    `head_may_be_fresh`: whether weights for another number of classes are welcome, because training follows. `pick`:
    what of the weights is to be taken over, for a part of their classes.
    """
    if given := sorted({"classes", "num_classes", "size"} & spec.knobs.keys()):
        raise InputError(f"{spec.model}: '{given[0]}' is no knob: it comes with the data (zoo list: --classes, --size)")
    library, _, name = spec.model.rpartition(":")
    with torch.device(device):
        if library == "torchvision":
            network = _torchvision(name, spec, classes)
        elif library == "timm":
            network = _timm(name, spec, classes)
        elif not library:
            network = models.build(name, classes=classes, size=size, **spec.knobs)
        else:
            raise InputError(f"no models from '{library}': a model is a family, torchvision:NAME, timm:NAME or run:DIR")
        if spec.weights:
            state, origin = trained_weights(spec)
            adopt(network, pick(state) if pick is not None else state, origin, head_may_be_fresh)
        if spec.stem_stride is not None:
            _small_stem(network, spec)
    return network.to(memory_format=torch.channels_last)


def _torchvision(name: str, spec: Network, classes: int) -> nn.Module:
    try:
        from torchvision import models as library
    except ImportError:
        raise missing_package("torchvision", "train", f"torchvision:{name}") from None
    known = library.list_models(module=library)
    if name not in known:
        raise InputError(f"torchvision has no classifier '{name}'{nearest(name, known)}")
    return _construct(lambda: library.get_model(name, num_classes=classes, **spec.knobs), spec)


def _timm(name: str, spec: Network, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise missing_package("timm", "train", f"timm:{name}") from None
    if not timm.is_model(name):
        raise InputError(f"timm has no model '{name}'{nearest(name, timm.list_models())}")
    return _construct(lambda: timm.create_model(name, num_classes=classes, **spec.knobs), spec)


def _construct(make: Any, spec: Network) -> nn.Module:
    try:
        network: nn.Module = make()
    except TypeError as error:
        raise InputError(f"{spec.model}: {error}") from None
    return network


def _small_stem(network: nn.Module, spec: Network) -> None:
    """A 3x3 first convolution instead of 7x7. Strides 1 and 2 drop the max-pool (1 is He et al.'s CIFAR stem), 4 keeps
    it behind a stride of 2.
    """
    first = getattr(network, "conv1", None)
    if not isinstance(first, nn.Conv2d) or not hasattr(network, "maxpool"):
        raise InputError(f"stem_stride is for torchvision ResNets, which {spec.model} is not")
    network.conv1 = nn.Conv2d(3, first.out_channels, 3, min(spec.stem_stride or 1, 2), 1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    if spec.stem_stride != 4:
        network.maxpool = nn.Identity()
