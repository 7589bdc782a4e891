"""VGG with BatchNorm (Simonyan & Zisserman 2015, arXiv:1409.1556).

`head="classic"` is the published network with its three dense layers; names and layout are torchvision's
(`torchvision/models/vgg.py`, the `_bn` variants), so its weights load unchanged. `head="pool"` ends in a global average
and one dense layer: the CIFAR form that distillation papers use (vgg13 of 9.46 M parameters, vgg8 of 3.97 M, as in
RepDistiller `models/vgg.py`), 14 to 500 times smaller.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (64, 128, 256, 512, 512)
BLOCKS = {8: (1, 1, 1, 1, 1), 11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def pools_for(size: int) -> int:
    """How often an image of `size` pixels can be halved and still be 3 pixels wide; five at most, as published."""
    pools = 0
    while pools < 5 and size // 2 >= 3:
        size //= 2
        pools += 1
    return pools


class _PoolTo(nn.Module):
    """Average [N, C, H, W] to [N, C, side, side]. Nothing at all where that is its size already, and a plain mean to
    one pixel, which every runtime has in half precision (CPU torch has no half adaptive pooling to export).
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2:] == (self.side, self.side):
            return x
        return x.mean((2, 3), keepdim=True) if self.side == 1 else F.adaptive_avg_pool2d(x, self.side)


class VGG(nn.Module):
    """Float [N, 3, H, W] -> logits [N, classes].

    `depth`: 8, 11, 13, 16 or 19 weight layers; `width` multiplies every channel count; `pools`: how many of the five
    stages end in a 2x2 max-pool (5 as published, fewer for small images); `head`: "classic" or "pool".
    """

    def __init__(
        self,
        classes: int,
        *,
        depth: int = 16,
        width: float = 1.0,
        pools: int = 5,
        head: Literal["classic", "pool"] = "classic",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for stage, (base, blocks) in enumerate(zip(CHANNELS, BLOCKS[depth], strict=True)):
            outputs = max(8, round(base * width))
            for _ in range(blocks):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
                inputs = outputs
            if stage < pools:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = _PoolTo(7 if head == "classic" else 1)
        if head == "classic":
            self.classifier = nn.Sequential(
                nn.Linear(inputs * 49, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Linear(4096, classes),
            )
        else:
            self.classifier = nn.Sequential(nn.Linear(inputs, classes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return logits
