"""VGG (Simonyan & Zisserman 2015, arXiv:1409.1556), with BatchNorm unless asked otherwise.

`head="classic"` is the published network with its three dense layers; names and layout are torchvision's
(`torchvision/models/vgg.py`: the `_bn` variants, and the plain ones with `norm="none"`), so its weights load unchanged.
`head="pool"` ends in a global average and one dense layer: the CIFAR form that distillation papers use (vgg13 of 9.46 M
parameters, vgg8 of 3.97 M, as in RepDistiller `models/vgg.py`), 14 to 500 times smaller. `head="tags"` is that with a
BatchNorm and more dropout, for thousands of tags.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, fx, nn
from torch.nn import functional as F

from zoo.models.families.layers import ACTIVATIONS, halvings_for, initialise, norms
from zoo.models.knobs import Activation, Dropout, Width
from zoo.models.student import Student

CHANNELS = (64, 128, 256, 512, 512)
BLOCKS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
DROPOUT = {"classic": 0.5, "pool": 0.0, "tags": 0.35}


@fx.wrap  # it looks at the shape, which tracing does not know
def pool_to(x: Tensor, side: int) -> Tensor:
    """Average [N, C, H, W] to [N, C, side, side]. Nothing at all where that is its size already, and a plain mean to
    one pixel, which every runtime has in half precision (CPU torch has no half adaptive pooling to export).
    """
    if x.shape[-2:] == (side, side):
        return x
    return x.mean((2, 3), keepdim=True) if side == 1 else F.adaptive_avg_pool2d(x, side)


class _PoolTo(nn.Module):
    """`pool_to` as a layer: [N, C, H, W] -> [N, C, side, side]."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return pool_to(x, self.side)


class TagHead(nn.Sequential):
    """BatchNorm, dropout and one dense layer: pooled features [N, features] -> logits [N, tags]."""

    def __init__(self, features: int, tags: int, dropout: float) -> None:
        super().__init__(nn.BatchNorm1d(features), nn.Dropout(dropout), nn.Linear(features, tags))

    @torch.no_grad()
    def fused(self) -> nn.Linear:
        """The one dense layer that answers the same in eval mode."""
        norm, dense = cast(nn.BatchNorm1d, self[0]), cast(nn.Linear, copy.deepcopy(self[2]))
        mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        scale = norm.weight / (variance + norm.eps).sqrt()
        dense.bias.add_(dense.weight @ (norm.bias - mean * scale))
        dense.weight.mul_(scale)
        return dense


class VGG(nn.Module):
    """Float [N, 3, H, W] -> logits [N, classes].

    `depth`: 8, 11, 13, 16 or 19 weight layers; `pools`: how many of the five stages end in a 2x2 max-pool (5 as
    published, fewer for small images); `norm`: that of the convolutions, the tagging head's is always BatchNorm;
    `dropout`: None is 0.5 for the classic head, 0.35 for tags, 0 for the pool head.
    """

    def __init__(
        self,
        classes: int,
        *,
        depth: Literal[8, 11, 13, 16, 19] = 16,
        width: Width = 1.0,
        pools: Annotated[int, Field(ge=0, le=5)] = 5,
        head: Literal["classic", "pool", "tags"] = "classic",
        norm: Literal["batch", "layer", "instance", "group", "none"] = "batch",
        activation: Activation = "relu",
        dropout: Dropout | None = None,
    ) -> None:
        super().__init__()
        activate = ACTIVATIONS[activation]
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (base, blocks) in enumerate(zip(CHANNELS, BLOCKS[depth], strict=True)):
            outputs = max(8, round(base * width))
            for _ in range(blocks):
                layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
                if norm != "none":
                    layers.append(norms(norm)(outputs))
                layers.append(activate())
                inputs = outputs
            if stage < pools:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = _PoolTo(7 if head == "classic" else 1)
        rate = DROPOUT[head] if dropout is None else dropout
        if head == "classic":
            self.classifier = nn.Sequential(
                nn.Linear(inputs * 49, 4096),
                activate(),
                nn.Dropout(rate),
                nn.Linear(4096, 4096),
                activate(),
                nn.Dropout(rate),
                nn.Linear(4096, classes),
            )
        elif head == "tags":
            self.classifier = TagHead(inputs, classes, rate)
        else:  # the dense layer has the name that it had in checkpoints from before there was dropout
            self.classifier = nn.Sequential(OrderedDict({"dropout": nn.Dropout(rate), "0": nn.Linear(inputs, classes)}))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits


def _fitting(size: int) -> dict[str, Any]:
    """As many pools as the image can bear, and the head that suits small images unless another one is asked for."""
    return {"pools": halvings_for(size), "head": "pool"}


STUDENT = Student("vgg", VGG, _fitting)
