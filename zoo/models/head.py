"""Where a network's head begins: what turns features into logits."""

from __future__ import annotations

from collections.abc import Collection

import torch
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


def start_at_zero(network: nn.Module, fresh: Collection[str]) -> None:
    """Set the last dense layer to zero, and any other with as many outputs, as far as its weights are in `fresh`.

    Logits are 0 then, and a training begins with what the features know. A library's own start has weights of up to
    0.7 for two classes: steps are spent on unlearning them, and they shake a trained body while they last.
    """
    dense = [(name, part) for name, part in network.named_modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        for name, part in dense:
            if part.out_features == dense[-1][1].out_features and f"{name}.weight" in fresh:
                for parameter in part.parameters():
                    parameter.zero_()
