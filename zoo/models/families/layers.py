"""What the families share: norms and activations by name, the small blocks built of them, strides for small images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn

from zoo.models.knobs import Activation, Norm

MakeNorm = Callable[[int], nn.Module]  # channels -> a layer
MakeActivation = Callable[[], nn.Module]
MakeConv = Callable[..., nn.Sequential]  # `conv_norm_act` with its norm and activation chosen

ACTIVATIONS: dict[Activation, MakeActivation] = {
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
    "leaky_relu": lambda: nn.LeakyReLU(inplace=True),
    "hardswish": lambda: nn.Hardswish(inplace=True),
    "silu": lambda: nn.SiLU(inplace=True),
    "gelu": nn.GELU,
}


def norms(kind: Norm, eps: float = 1e-5, momentum: float = 0.1) -> MakeNorm:
    """Norms of [N, C, H, W] maps. Only "batch" looks at more than one image.

    "layer" is over channels and pixels at once (a GroupNorm of one group); "group" has 32 groups as in Wu & He 2018
    (arXiv:1803.08494), fewer where they would hold less than 8 channels or do not divide them.
    """
    makers: dict[Norm, MakeNorm] = {
        "batch": lambda channels: nn.BatchNorm2d(channels, eps, momentum),
        "layer": lambda channels: nn.GroupNorm(1, channels, eps),
        "instance": lambda channels: nn.InstanceNorm2d(channels, eps, affine=True),
        "group": lambda channels: nn.GroupNorm(groups_for(channels), channels, eps),
    }
    return makers[kind]


def groups_for(channels: int) -> int:
    """The most groups, up to 32, that divide the channels and hold at least 8 of them each."""
    return max(groups for groups in range(1, max(1, min(32, channels // 8)) + 1) if channels % groups == 0)


def conv_norm_act(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    groups: int = 1,
    *,
    norm: MakeNorm,
    activation: MakeActivation | None,
) -> nn.Sequential:
    """Convolution without bias, norm, and an activation unless it is None: torchvision's `Conv2dNormActivation`."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, norm(outputs), *([activation()] if activation else []))


class SqueezeExcitation(nn.Module):
    """Channels weighed by what the whole map holds (Hu et al. 2018, arXiv:1709.01507): [N, C, H, W] -> the same.

    Names are torchvision's (`torchvision/ops/misc.py`); `gate` maps the weights to 0 ... 1.
    """

    def __init__(self, channels: int, squeezed: int, gate: nn.Module) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale_activation = gate

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]."""
        hidden = self.activation(self.fc1(x.mean((2, 3), keepdim=True)))
        weighed: Tensor = x * self.scale_activation(self.fc2(hidden))
        return weighed


class PooledNetwork(nn.Module):
    """Features, their average over all pixels, a classifier: what every family but VGG is.

    The average is a `mean`: CPU torch has no adaptive pooling in half precision.
    """

    def __init__(self, features: Iterable[nn.Module], classifier: Iterable[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(*classifier)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Float [N, 3, H, W] -> logits [N, classes]."""
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


def initialise(network: nn.Module) -> None:
    """Fresh weights as torchvision draws them: He et al.'s normal by fan-out, linear layers with deviation 0.01.

    None on the meta device, where there are none, and where torch would load its compiler to find that out.
    """
    if any(weight.is_meta for weight in network.parameters()):
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor`, never more than 10 % below `channels` (MobileNetV2's published rule)."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def halvings_for(size: int) -> int:
    """How often an image of `size` pixels can be halved and still be 3 pixels wide; five at most, as published.

    A last map of 2 pixels says little, and oneDNN's depthwise backward is slow on it.
    """
    halvings = 0
    while halvings < 5 and size // 2 >= 3:
        size //= 2
        halvings += 1
    return halvings


def strides_for(size: int) -> dict[str, Any]:
    """The knobs `stem_stride` and `halvings` for an image of `size` pixels: 2 and 4, as published, from 96 on. Smaller
    ones give up the last halving first, then the stem's, then the others from the back.
    """
    halvings = halvings_for(size)
    stem = 2 if halvings >= 4 else 1
    return {"stem_stride": stem, "halvings": halvings + 1 - stem}


def keep_strides(strides: Iterable[int], halvings: int) -> list[int]:
    """The strides with only the first `halvings` of their twos left, 1 instead of the others."""
    kept = []
    for stride in strides:
        halvings -= stride == 2
        kept.append(stride if halvings >= 0 else 1)
    return kept
