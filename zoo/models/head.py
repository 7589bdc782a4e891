"""Where a network's head begins: what turns features into logits."""

from __future__ import annotations

from torch import nn

from zoo.errors import InputError


def head_name(network: nn.Module) -> str:
    """The name of what turns features into logits: the outermost child that holds the last dense layer."""
    found = ""
    for name, child in network.named_children():
        if any(isinstance(part, nn.Linear) for part in child.modules()):
            found = name
    if not found:
        raise InputError(f"{type(network).__name__} has no dense layer: it has no head of its own")
    return found
