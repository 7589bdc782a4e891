"""What a network returns: its logits, and those of auxiliary heads, which help to train and are not read afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

MAIN = ("logits", "out", "output")  # names of the main output in named tuples, dictionaries and data classes


class NoTensor(TypeError):  # noqa: N818  it is said as a fact
    """What a network returned holds no tensor."""


class Outputs(NamedTuple):
    """`main`: float [N, outputs]. `auxiliary`: of the same shape each, one for each auxiliary head that answered."""

    main: Tensor
    auxiliary: tuple[Tensor, ...] = ()


def outputs_of(returned: Any) -> Outputs:
    """The outputs in what a network returned: a tensor, a (named) tuple or list, a dictionary, or an object with
    `logits`.

    The main one is called logits, out or output, or is the first. Auxiliary heads are the others of the same shape;
    anything else, such as features or None, is left out. `NoTensor` where there is none.
    """
    if isinstance(returned, Tensor):
        return Outputs(returned)
    if isinstance(returned, Mapping):
        named = dict(returned)
    elif hasattr(returned, "_asdict"):
        named = returned._asdict()
    elif isinstance(returned, Sequence) and not isinstance(returned, str):
        named = {str(place): value for place, value in enumerate(returned)}
    else:
        named = dict(vars(returned)) if hasattr(returned, "__dict__") else {}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    if not tensors:
        raise NoTensor(f"{type(returned).__name__}, in which there is no tensor")
    main = next((name for name in MAIN if name in tensors), next(iter(tensors)))
    shape = tensors[main].shape
    others = tuple(value for name, value in tensors.items() if name != main and value.shape == shape)
    return Outputs(tensors[main], others)


def has_auxiliary_heads(network: nn.Module) -> bool:
    """Whether a network is of those that may have auxiliary heads, by the setting that torchvision and timm give it."""
    return isinstance(getattr(network, "aux_logits", None), bool)


def drop_auxiliary_heads(network: nn.Module) -> None:
    """Take them off a network that has them, as torchvision and timm do."""
    for name, _ in list(network.named_children()):
        if is_auxiliary(name):
            setattr(network, name, None)
    network.aux_logits = False  # type: ignore[assignment]


def is_auxiliary(name: str) -> bool:
    """Whether a tensor of such a network is one of an auxiliary head: they are called aux1, aux2 or AuxLogits."""
    return name.lower().startswith("aux")
