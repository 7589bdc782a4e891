"""MobileNetV3 (Howard et al. 2019, arXiv:1905.02244).

Module names and layout are torchvision's (`torchvision/models/mobilenetv3.py`), so its weights load unchanged.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor, nn

from zoo.models.families.layers import (
    ACTIVATIONS,
    MakeConv,
    PooledNetwork,
    SqueezeExcitation,
    conv_norm_act,
    keep_strides,
    make_divisible,
    norms,
    strides_for,
)
from zoo.models.knobs import Activation, Dropout, Halvings, Norm, Stride, Width
from zoo.models.student import Student

# kernel, expanded channels, output channels, squeeze-excite?, activation, stride: Tables 1 and 2 of the paper
Block = tuple[int, int, int, bool, Activation, int]
LARGE: tuple[Block, ...] = (
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hardswish", 2),
    (3, 200, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1),
    (3, 480, 112, True, "hardswish", 1),
    (3, 672, 112, True, "hardswish", 1),
    (5, 672, 160, True, "hardswish", 2),
    (5, 960, 160, True, "hardswish", 1),
    (5, 960, 160, True, "hardswish", 1),
)
SMALL: tuple[Block, ...] = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hardswish", 2),
    (5, 240, 40, True, "hardswish", 1),
    (5, 240, 40, True, "hardswish", 1),
    (5, 120, 48, True, "hardswish", 1),
    (5, 144, 48, True, "hardswish", 1),
    (5, 288, 96, True, "hardswish", 2),
    (5, 576, 96, True, "hardswish", 1),
    (5, 576, 96, True, "hardswish", 1),
)
VARIANTS = {"large": (LARGE, 1280), "small": (SMALL, 1024)}  # blocks, width of the hidden dense layer


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel, weigh the channels, project back without an activation."""

    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        kernel: int,
        stride: int,
        squeeze: bool,
        conv: MakeConv,
    ) -> None:
        super().__init__()
        gate = [SqueezeExcitation(expanded, make_divisible(expanded // 4), nn.Hardsigmoid())] if squeeze else []
        self.block = nn.Sequential(
            *([conv(inputs, expanded, kernel=1)] if expanded != inputs else []),
            conv(expanded, expanded, kernel, stride, expanded),
            *gate,
            conv(expanded, outputs, kernel=1, activation=None),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return x + self.block(x) if self.residual else self.block(x)


class MobileNetV3(PooledNetwork):
    """Float [N, 3, H, W] -> logits [N, classes].

    `activation` None is the published mix, ReLU in the early blocks and hardswish from there on; a name is used in all
    blocks (the gates of squeeze-excite stay as they are). `halvings` of the four strides behind the stem stay 2.
    """

    def __init__(
        self,
        classes: int,
        *,
        variant: Literal["small", "large"] = "large",
        width: Width = 1.0,
        stem_stride: Stride = 2,
        halvings: Halvings = 4,
        norm: Norm = "batch",
        activation: Activation | None = None,
        dropout: Dropout = 0.2,
    ) -> None:
        blocks, hidden = VARIANTS[variant]
        conv = partial(conv_norm_act, norm=norms(norm, eps=1e-3, momentum=0.01))
        late = ACTIVATIONS[activation or "hardswish"]
        channels = make_divisible(16 * width)
        features: list[nn.Module] = [conv(3, channels, stride=stem_stride, activation=late)]
        strides = keep_strides([stride for *_, stride in blocks], halvings)
        for (kernel, expanded, base, squeeze, published, _), stride in zip(blocks, strides, strict=True):
            wide, outputs = make_divisible(expanded * width), make_divisible(base * width)
            block = partial(conv, activation=ACTIVATIONS[activation or published])
            features.append(InvertedResidual(channels, wide, outputs, kernel, stride, squeeze, block))
            channels = outputs
        features.append(conv(channels, 6 * channels, kernel=1, activation=late))
        hidden = make_divisible(hidden * width)
        dense = [nn.Linear(6 * channels, hidden), late(), nn.Dropout(dropout), nn.Linear(hidden, classes)]
        super().__init__(features, dense)


STUDENT = Student("mobilenet_v3", MobileNetV3, strides_for)
