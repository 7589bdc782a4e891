"""Networks by name: a family of ours, or a classifier of torchvision or timm."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo import models
from zoo.errors import InputError
from zoo.models.config import Network
from zoo.models.library import HUB, constructor
from zoo.models.weights.adopt import adopt, trained_weights
from zoo.models.weights.hub import check_settings, library_network, with_settings


def build(
    spec: Network,
    *,
    classes: int,
    size: int,
    head_may_be_fresh: bool = False,
    device: str | None = "cpu",
    pick: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None,
) -> nn.Module:
    """The bare network of a recipe's entry, with its weights if it names any: float [N, 3, H, W] -> [N, classes].

    `head_may_be_fresh`: whether weights for another number of classes are welcome, because training follows. `pick`:
    what of the weights is to be taken over, for a part of their classes. `device`: None for torch's default device of
    the moment.
    """
    spec = with_settings(spec)
    if given := sorted({"classes", "num_classes", "size"} & spec.knobs.keys()):
        raise InputError(f"{spec.model}: '{given[0]}' is no knob: it comes with the data (zoo list: --classes, --size)")
    with torch.device(device or torch.get_default_device()):
        network = _without_weights(spec, classes, size)
        if spec.weights == HUB:
            theirs = library_network(spec)
            check_settings(spec, theirs, _shadow(lambda: _without_weights(spec, None, size)))
            state, origin = theirs.state_dict(), spec.model
            adopt(network, pick(state) if pick else state, origin, head_may_be_fresh)
        elif spec.weights:
            state, origin = trained_weights(spec, network.state_dict())
            adopt(network, pick(state) if pick else state, origin, head_may_be_fresh)
        if spec.stem_stride is not None:
            _small_stem(network, spec)
    return network.to(memory_format=torch.channels_last)


def shadow(spec: Network, *, classes: int, size: int) -> nn.Module:
    """The same network without weights and, if its construction can do without numbers, without memory: on the meta
    device. On the CPU otherwise.
    """
    bare = with_settings(spec).model_copy(update={"weights": ""})
    return _shadow(lambda: build(bare, classes=classes, size=size, device=None))


def _shadow(make: Callable[[], nn.Module]) -> nn.Module:
    try:
        with torch.device("meta"):
            return make()
    except NotImplementedError:  # it computes its widths with tensors, as torchvision's RegNets do
        with torch.device("cpu"):
            return make()


def _without_weights(spec: Network, classes: int | None, size: int) -> nn.Module:
    """`classes`: None for as many as the library's own weights have."""
    library, _, name = spec.model.rpartition(":")
    if not library and classes is not None:
        return models.build(name, classes=classes, size=size, **spec.knobs)
    make = constructor(spec.model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torchvision's, of how it may start networks one day
            return make(**spec.knobs) if classes is None else make(num_classes=classes, **spec.knobs)
    except TypeError as error:
        raise InputError(f"{spec.model}: {error}") from None


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
