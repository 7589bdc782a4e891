"""What a channel responds to: a picture that excites it, found by climbing the gradient of its activation.

Activation maximisation is Erhan et al. 2009, Visualizing Higher-Layer Features of a Deep Network. Left alone it finds
noise that no camera takes. Two of the remedies in Olah et al. 2017, Feature Visualization (distill.pub), are used: the
picture is shifted at random before each step (jitter), and the gradient's fine frequencies are turned down
(preconditioning); and each step draws the picture back a little towards grey (Yosinski et al. 2015, arXiv:1506.06579).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import InputError, nearest
from zoo.models.normalisation import Normalised
from zoo.progress import track

GREY, NOISE = 127.5, 8.0  # mean and deviation of the start, in levels of 0 to 255
STEP = 4.0  # root mean square of what the first step adds, in the same levels; steps shrink to nothing
DECAY = 0.02  # share of the way to grey that the first step takes back
JITTER = 1 / 16  # largest shift, as a share of the side
SLOPE = 1.5  # the gradient is divided by frequency to this power: 1 leaves noise, 2 leaves only soft patches


def maximise(
    network: Normalised, layer: str, channels: Sequence[int], *, size: int, steps: int = 128, seed: int = 0
) -> Tensor:
    """Pictures that raise the mean activation of a layer's channels: uint8 [channels, size, size, 3] on the CPU.

    `layer`: a name from `network.network.named_modules()`, of one that gives [N, C, ...]. Every picture starts from
    the same noise, which is what 0 steps return. The network is copied and stays as it is. `InputError` for an unknown
    layer or channel.
    """
    network = _frozen(network)
    random = torch.Generator().manual_seed(seed)  # on the CPU: the same start wherever the network is
    start = GREY + NOISE * torch.randn(1, 3, size, size, generator=random)
    pictures = start.to(network.mean.device).repeat(len(channels), 1, 1, 1)
    with torch.no_grad():
        known = _means(network, layer, pictures[:1]).shape[1]
    for channel in channels:
        if not 0 <= channel < known:
            raise InputError(f"layer '{layer}' has no channel {channel}: it has {known}, from 0 on")
    reach = round(size * JITTER)
    with track(f"maximising {layer}", steps, quiet_log=True) as advance:
        for step in range(steps):
            shift = torch.randint(-reach, reach + 1, (2,), generator=random).tolist()
            shown = pictures.roll(shift, (2, 3)).requires_grad_()
            excited = _means(network, layer, shown)[range(len(channels)), channels]
            (uphill,) = torch.autograd.grad(excited.sum(), shown)
            uphill = _coarse(uphill.roll([-pixels for pixels in shift], (2, 3)))
            uphill = uphill / uphill.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
            rest = 1 - step / steps
            pictures = pictures + rest * (STEP * uphill + DECAY * (GREY - pictures))
            pictures = pictures.clamp(0, 255)
            advance()
    return pictures.round().to(torch.uint8).permute(0, 2, 3, 1).cpu()


def activations(network: Normalised, layer: str, pictures: Tensor) -> Tensor:
    """Mean activation of every channel of a layer: uint8 pictures [N, H, W, 3] -> float32 [N, C].

    `InputError` for an unknown layer, and for one that gives anything but [N, C, ...].
    """
    with torch.no_grad():
        return _means(_frozen(network), layer, pictures.permute(0, 3, 1, 2))


def _frozen(network: Normalised) -> Normalised:
    return copy.deepcopy(network).eval().requires_grad_(False)


def _means(network: Normalised, name: str, pictures: Tensor) -> Tensor:
    """Float [N, 3, H, W], 0 to 255 -> mean activations [N, C]."""
    layers = {known: layer for known, layer in network.network.named_modules() if known}
    if name not in layers:
        others = nearest(name, layers) or f"; it has {', '.join(list(layers)[:5])} ..."
        raise InputError(f"the network has no layer '{name}'{others}")
    found: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() > 1:
            # The mean at once: what follows may work in place, as ReLU does on what BatchNorm gave.
            found.append(output.reshape(*output.shape[:2], -1).mean(2))

    with layers[name].register_forward_hook(keep):
        network(pictures.permute(0, 2, 3, 1))
    if not found:
        raise InputError(f"layer '{name}' gives no channels when the network runs: name one that gives [N, C, ...]")
    return found[0]


def _coarse(gradient: Tensor) -> Tensor:
    """[N, 3, H, W] with each frequency divided by its own height to the power of `SLOPE`."""
    height, width = gradient.shape[2:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = torch.hypot(down, across).clamp(min=1 / max(height, width)).to(gradient.device)
    return torch.fft.irfft2(torch.fft.rfft2(gradient) / frequency**SLOPE, s=(height, width))
