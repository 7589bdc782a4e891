"""MobileOne (Vasu et al. 2022, arXiv:2206.04040): MobileNetV1 trained with branches that fold into its convolutions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from zoo.models.families.layers import (
    ACTIVATIONS,
    PooledNetwork,
    SqueezeExcitation,
    keep_strides,
    make_divisible,
    strides_for,
)
from zoo.models.families.reparameterize import Branches
from zoo.models.knobs import Activation, Dropout, Halvings, Stride, Width
from zoo.models.student import Student

CHANNELS = (64, 128, 256, 512)
BLOCKS = (2, 8, 10, 1)
NOWHERE = (0, 0, 0, 0)
# of the four stages: what multiplies their channels, how many of their last blocks have squeeze-excite; and the number
# of branches: the paper's table of variants and the authors' `apple/ml-mobileone` mobileone.py
VARIANTS = {
    "s0": ((0.75, 1.0, 1.0, 2.0), NOWHERE, 4),
    "s1": ((1.5, 1.5, 2.0, 2.5), NOWHERE, 1),
    "s2": ((1.5, 2.0, 2.5, 4.0), NOWHERE, 1),
    "s3": ((2.0, 2.5, 3.0, 4.0), NOWHERE, 1),
    "s4": ((3.0, 3.5, 3.5, 4.0), (0, 0, 5, 1), 1),
}


class MobileOne(PooledNetwork):
    """Float [N, 3, H, W] -> logits [N, classes].

    `branches`: convolutions side by side in each place, the variant's own number if None; they cost training time only.
    `width` multiplies the variant's own widths; `halvings` of the four stages' strides stay 2. The norm is always
    BatchNorm: no other could be folded.
    """

    def __init__(
        self,
        classes: int,
        *,
        variant: Literal["s0", "s1", "s2", "s3", "s4"] = "s0",
        width: Width = 1.0,
        branches: Annotated[int, Field(ge=1)] | None = None,
        stem_stride: Stride = 2,
        halvings: Halvings = 4,
        activation: Activation = "relu",
        dropout: Dropout = 0.0,
    ) -> None:
        widths, gated, published = VARIANTS[variant]
        convs = branches or published

        def tail(channels: int, gate: bool) -> list[nn.Module]:
            gates = [SqueezeExcitation(channels, make_divisible(channels / 16), nn.Sigmoid())] if gate else []
            return [*gates, ACTIVATIONS[activation]()]

        channels = make_divisible(min(64, 64 * widths[0]) * width)
        features = [Branches(3, channels, stride=stem_stride), *tail(channels, gate=False)]
        stages = zip(CHANNELS, BLOCKS, widths, gated, keep_strides([2, 2, 2, 2], halvings), strict=True)
        for base, blocks, multiplier, gates, first_stride in stages:
            outputs = make_divisible(base * multiplier * width)
            for block in range(blocks):
                gate = block >= blocks - gates
                stride = first_stride if block == 0 else 1
                features += [Branches(channels, channels, 3, stride, channels, convs=convs), *tail(channels, gate)]
                features += [Branches(channels, outputs, 1, convs=convs), *tail(outputs, gate)]
                channels = outputs
        super().__init__(features, [nn.Dropout(dropout), nn.Linear(channels, classes)])


STUDENT = Student("mobileone", MobileOne, strides_for)
