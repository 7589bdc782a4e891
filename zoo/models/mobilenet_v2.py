"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

Module names and layout are torchvision's (`torchvision/models/mobilenetv2.py`), so its weights load unchanged.
"""

from __future__ import annotations

from torch import Tensor, nn

# expansion t, channels c, blocks n, stride s of the first block: Table 2 of the paper
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, never more than 10 % below `channels` (the paper's published rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def conv_bn_relu6(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias, BatchNorm, ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    """Expand by a 1x1 convolution, filter each channel 3x3, project back without an activation."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers: list[nn.Module] = [conv_bn_relu6(inputs, hidden, kernel=1)] if expansion != 1 else []
        self.conv = nn.Sequential(
            *layers,
            conv_bn_relu6(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """Float [N, 3, H, W] -> logits [N, classes].

    `width` multiplies every channel count. `stem_stride` and `last_stride` (of the sixth stage) are 2 as published and
    1 for small images, which would end at a pixel or two.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: float = 1.0,
        stem_stride: int = 2,
        last_stride: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        channels = make_divisible(32 * width)
        features: list[nn.Module] = [conv_bn_relu6(3, channels, stride=stem_stride)]
        strides = [stride for *_, stride in STAGES]
        strides[5] = last_stride
        for (expansion, base, blocks, _), stride in zip(STAGES, strides, strict=True):
            outputs = make_divisible(base * width)
            for block in range(blocks):
                features.append(InvertedResidual(channels, outputs, stride if block == 0 else 1, expansion))
                channels = outputs
        last = make_divisible(1280 * max(1.0, width))
        self.features = nn.Sequential(*features, conv_bn_relu6(channels, last, kernel=1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, classes))
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits
