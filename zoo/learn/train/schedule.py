"""Which weights learn in which epoch and how fast: frozen layers, the head first, weight decay, learning rates."""

from __future__ import annotations

import math

import torch
from torch import nn

from zoo.errors import InputError, nearest
from zoo.learn.recipe.schema import Training
from zoo.models.head import head_name


def rate_factor(settings: Training, epoch: float) -> float:
    """What the learning rate is multiplied by at `epoch`, which may be a fraction: 1.5 is the middle of the second."""
    if epoch < settings.warmup:
        return (epoch + 1e-3) / settings.warmup
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "step":
        return float(settings.gamma ** sum(epoch >= milestone for milestone in settings.milestones))
    done = min((epoch - settings.warmup) / max(settings.epochs - settings.warmup, 1e-9), 1.0)
    left = 1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    end = settings.final_lr / settings.lr
    return end + (1 - end) * left


def head_of(network: nn.Module) -> nn.Module:
    """The part that turns features into logits: the outermost child that holds the last dense layer."""
    return network.get_submodule(head_name(network))


def frozen_until(network: nn.Module, name: str) -> list[nn.Module]:
    """The layers (modules without children) up to and including the one called `name`, in the order they were made."""
    names = dict(network.named_modules())
    if name not in names or not name:
        raise InputError(f"train.freeze: no layer '{name}'{nearest(name, names)}")
    leaves = [(path, part) for path, part in network.named_modules() if not list(part.children())]
    last = max(i for i, (path, _) in enumerate(leaves) if path == name or path.startswith(name + "."))
    return [part for _, part in leaves[: last + 1]]


class WeightSchedule:
    """What `settings` mean for the weights of one network. `optimizer()` once, then `begin_epoch(epoch)` before each
    epoch, which switches learning on or off for each weight.
    """

    def __init__(self, network: nn.Module, settings: Training) -> None:
        self._network, self._settings = network, settings
        self._frozen = frozen_until(network, settings.freeze) if settings.freeze else []
        two_speeds = settings.head_epochs > 0 or settings.body_lr != 1.0
        head = {id(weight) for weight in head_of(network).parameters()} if two_speeds else set()
        self._body = [weight for weight in network.parameters() if head and id(weight) not in head]

    def begin_epoch(self, epoch: int) -> None:
        """Freeze what does not learn in this epoch. Frozen layers are in eval mode: their statistics stay, too."""
        head_only = epoch < self._settings.head_epochs
        self._network.train()
        self._network.requires_grad_(True)
        frozen = {id(weight) for weight in self._body} if head_only else set()
        frozen |= {id(weight) for part in self._frozen for weight in part.parameters()}
        for weight in self._network.parameters():
            weight.requires_grad_(id(weight) not in frozen)
        for part in self._network.modules():
            own = list(part.parameters(recurse=False))
            if part in self._frozen or (own and all(id(weight) in frozen for weight in own)):
                part.eval()

    def optimizer(self) -> torch.optim.Optimizer:
        """SGD or AdamW. Norms and biases are not decayed unless `decay_all` says so; the body may have its own rate."""
        settings = self._settings
        body = {id(weight) for weight in self._body}
        # The body in groups of its own, also at the head's rate: where it learns later, its momenta begin later, and
        # the fused optimiser wants a group's all at once.
        groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
        for weight in self._network.parameters():
            rate = settings.lr * (settings.body_lr if id(weight) in body else 1.0)
            decay = settings.weight_decay if weight.ndim > 1 or settings.decay_all else 0.0
            groups.setdefault((rate, decay, id(weight) in body), []).append(weight)
        listed = [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay, _), found in groups.items()]
        if settings.optimizer == "adamw":
            return torch.optim.AdamW(listed, fused=True)
        nesterov = settings.momentum > 0
        return torch.optim.SGD(listed, lr=settings.lr, momentum=settings.momentum, nesterov=nesterov, fused=True)
