"""The identity of a network: equal fingerprints, equal logits for equal pixels."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import nn


def fingerprint(network: nn.Module, about: str = "", *, without: nn.Module | None = None) -> str:
    """Hex SHA-256 of everything in a network that decides what it says of an image in eval mode.

    That is the class and the settings of each module (kernel sizes, strides, slopes ...), and the name, type, shape and
    numbers of each weight and each buffer, among them mean and std of `Normalised`, which its state dict leaves out.

    `about`: what else decides it, the size of its input for example. `without`: a module in it that is left out with
    all that is inside, such as the head of a body whose features are kept.
    """
    left_out = set(without.modules()) if without is not None else set()
    digest = hashlib.sha256(about.encode())
    for name, module in network.named_modules():
        if module in left_out:
            continue
        digest.update(f"{name} {type(module).__name__} {_settings(module)}\n".encode())
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for part, tensor in sorted(own, key=lambda entry: entry[0]):
            digest.update(f"{part} {tensor.dtype} {list(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def settings_of(network: nn.Module) -> list[tuple[str, str]]:
    """The name of each module, with its class and its settings: what a network is beside its tensors."""

    def said(part: nn.Module) -> str:
        return ", ".join(f"{name} = {value}" for name, value in _settings(part) if value is not None)

    return [(name, f"{type(part).__name__}({said(part)})") for name, part in network.named_modules()]


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    """The attributes that are plain values, by name. `training` is not among them: a teacher is asked in eval mode."""
    public = {name: value for name, value in vars(module).items() if name[0] != "_" and name != "training"}
    return sorted((name, value) for name, value in public.items() if _plain(value))


def _plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_plain(entry) for entry in value)
    return value is None or isinstance(value, bool | int | float | str)
