"""RepVGG (Ding et al. 2021, arXiv:2101.03697): plain 3x3 convolutions, trained with a 1x1 and an identity beside them.

After `zoo.models.families.reparameterize` it is a VGG without max-pools: 3x3 convolutions and activations alone.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from zoo.models.families.layers import ACTIVATIONS, PooledNetwork, keep_strides, make_divisible, strides_for
from zoo.models.families.reparameterize import Branches
from zoo.models.knobs import Activation, Dropout, Halvings, Stride, Width
from zoo.models.student import Student

CHANNELS = (64, 128, 256, 512)
# blocks of the four stages, and what multiplies their channels: Tables 2 and 3 of the paper
VARIANTS = {
    "a0": ((2, 4, 14, 1), (0.75, 0.75, 0.75, 2.5)),
    "a1": ((2, 4, 14, 1), (1.0, 1.0, 1.0, 2.5)),
    "a2": ((2, 4, 14, 1), (1.5, 1.5, 1.5, 2.75)),
    "b0": ((4, 6, 16, 1), (1.0, 1.0, 1.0, 2.5)),
}


class RepVGG(PooledNetwork):
    """Float [N, 3, H, W] -> logits [N, classes].

    `width` multiplies the variant's own widths; `halvings` of the four stages' strides stay 2. The norm is always
    BatchNorm: no other could be folded.
    """

    def __init__(
        self,
        classes: int,
        *,
        variant: Literal["a0", "a1", "a2", "b0"] = "a0",
        width: Width = 1.0,
        stem_stride: Stride = 2,
        halvings: Halvings = 4,
        activation: Activation = "relu",
        dropout: Dropout = 0.0,
    ) -> None:
        blocks, widths = VARIANTS[variant]
        channels = make_divisible(min(64, 64 * widths[0]) * width)
        features: list[nn.Module] = [Branches(3, channels, stride=stem_stride), ACTIVATIONS[activation]()]
        strides = keep_strides([2, 2, 2, 2], halvings)
        for base, repeats, multiplier, stride in zip(CHANNELS, blocks, widths, strides, strict=True):
            outputs = make_divisible(base * multiplier * width)
            for block in range(repeats):
                features.append(Branches(channels, outputs, stride=stride if block == 0 else 1))
                features.append(ACTIVATIONS[activation]())
                channels = outputs
        super().__init__(features, [nn.Dropout(dropout), nn.Linear(channels, classes)])


STUDENT = Student("repvgg", RepVGG, strides_for)
