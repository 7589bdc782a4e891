"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

Module names and layout are torchvision's (`torchvision/models/mobilenetv2.py`), so its weights load unchanged.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from zoo.models.families.layers import (
    ACTIVATIONS,
    MakeConv,
    PooledNetwork,
    conv_norm_act,
    keep_strides,
    make_divisible,
    norms,
    strides_for,
)
from zoo.models.knobs import Activation, Dropout, Halvings, Norm, Stride, Width
from zoo.models.student import Student

# expansion t, channels c, blocks n, stride s of the first block: Table 2 of the paper
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel 3x3, project back without an activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, conv: MakeConv) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.conv = nn.Sequential(
            *([conv(inputs, hidden, kernel=1)] if expansion != 1 else []),
            conv(hidden, hidden, stride=stride, groups=hidden),
            *conv(hidden, outputs, kernel=1, activation=None),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(PooledNetwork):
    """Float [N, 3, H, W] -> logits [N, classes].

    `stem_stride` and the four other strides are 2 as published; only the first `halvings` of those four stay so, for
    small images, which would end at a pixel or two.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: Width = 1.0,
        stem_stride: Stride = 2,
        halvings: Halvings = 4,
        norm: Norm = "batch",
        activation: Activation = "relu6",
        dropout: Dropout = 0.2,
    ) -> None:
        conv = partial(conv_norm_act, norm=norms(norm), activation=ACTIVATIONS[activation])
        channels = make_divisible(32 * width)
        features: list[nn.Module] = [conv(3, channels, stride=stem_stride)]
        strides = keep_strides([stride for *_, stride in STAGES], halvings)
        for (expansion, base, blocks, _), stride in zip(STAGES, strides, strict=True):
            outputs = make_divisible(base * width)
            for block in range(blocks):
                features.append(InvertedResidual(channels, outputs, stride if block == 0 else 1, expansion, conv))
                channels = outputs
        last = make_divisible(1280 * max(1.0, width))
        features.append(conv(channels, last, kernel=1))
        super().__init__(features, [nn.Dropout(dropout), nn.Linear(last, classes)])


STUDENT = Student("mobilenet_v2", MobileNetV2, strides_for)
