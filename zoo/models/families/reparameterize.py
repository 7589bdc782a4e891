"""Branches that are trained side by side and run as one convolution (Ding et al. 2021, arXiv:2101.03697)."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zoo.models.families.layers import conv_norm_act


class Branches(nn.Module):
    """The sum of `convs` convolutions, a 1x1 one beside them if they are larger, and the input itself where it has the
    shape of the output; each with a BatchNorm of its own. [N, inputs, H, W] -> [N, outputs, H / stride, W / stride].
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1, *, convs: int = 1
    ) -> None:
        super().__init__()
        self.identity = nn.BatchNorm2d(outputs) if inputs == outputs and stride == 1 else None
        kernels = [kernel] * convs + [1] * (kernel > 1)
        self.convs = nn.ModuleList(
            conv_norm_act(inputs, outputs, side, stride, groups, norm=nn.BatchNorm2d, activation=None)
            for side in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        first, *others = self.convs
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total if self.identity is None else total + self.identity(x)

    @torch.no_grad()
    def fused(self) -> nn.Conv2d:
        """The one convolution, with bias, that answers what the branches answer in eval mode, which they must be in."""
        pairs: list[Any] = [tuple(branch.children()) for branch in self.convs]  # convolution, BatchNorm
        if self.identity is not None:
            unchanged = copy.deepcopy(pairs[0][0])
            nn.init.dirac_(unchanged.weight, unchanged.groups)
            pairs.append((unchanged, self.identity))
        whole, *others = (fuse_conv_bn_eval(conv, norm) for conv, norm in pairs)
        for other in others:
            margin = (whole.kernel_size[0] - other.kernel_size[0]) // 2
            whole.weight += F.pad(other.weight, [margin] * 4)
            whole.bias += other.bias
        return whole


def reparameterize(network: nn.Module) -> nn.Module:
    """A copy in eval mode in which every block that offers `fused()` is replaced by what that returns.

    timm's blocks call it `fuse()`, or `reparameterize()` where they fold in place (`timm/models/_manipulate.py`).
    """
    return _folded(copy.deepcopy(network).eval())


def _folded(module: nn.Module) -> nn.Module:
    for offer in ("fused", "fuse"):
        if callable(fuse := getattr(module, offer, None)):
            return cast(nn.Module, fuse())
    if callable(fold := getattr(module, "reparameterize", None)):
        fold()
    for name, child in module.named_children():
        setattr(module, name, _folded(child))
    return module
