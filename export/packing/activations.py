"""What a torch network's layers reach on real images: the largest value of each, and the shape it comes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from zoo.models.normalisation import Normalised
from zoo.preprocess import Pixels

BATCH = 16


@dataclass
class Seen:
    """`largest` |value| and `shape` of every layer's output, by the name of its module, or of its node in a trace."""

    largest: dict[str, float] = field(default_factory=dict)
    shape: dict[str, torch.Size] = field(default_factory=dict)

    def note(self, name: str, output: Any) -> None:
        """Take one output into account; whatever is no float tensor is not."""
        if isinstance(output, Tensor) and output.is_floating_point():
            self.largest[name] = max(self.largest.get(name, 0.0), float(output.abs().max()))
            self.shape[name] = output.shape


def watch(network: Normalised, images: Pixels) -> Seen:
    """Run `images`, uint8 [N, H, W, 3], through the network. A trace is watched operator by operator, anything else
    module by module, the innermost ones.
    """
    seen, inner = Seen(), network.network
    if isinstance(inner, fx.GraphModule):
        _run(network, images, _Watch(inner, seen).run)
        return seen
    leaves = [(name, module) for name, module in inner.named_modules() if not any(module.children())]
    hooks = [module.register_forward_hook(partial(_after, seen, name)) for name, module in leaves]
    try:
        _run(network, images, inner)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


class _Watch(fx.Interpreter):
    def __init__(self, module: fx.GraphModule, seen: Seen) -> None:
        super().__init__(module)
        self._seen = seen

    def run_node(self, node: fx.Node) -> Any:
        """The node's output, noted."""
        output = super().run_node(node)
        self._seen.note(node.name, output)
        return output


def _after(seen: Seen, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
    del module, inputs
    seen.note(name, output)


def _run(network: Normalised, images: Pixels, forward: Callable[[Tensor], Any]) -> None:
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            forward(network.normalise(torch.from_numpy(images[start : start + BATCH])))
