"""Pairs of layers, by name, whose features are compared. Forward hooks read them; the networks run unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import InputError, nearest
from zoo.learn.hints.adapters import adapter
from zoo.learn.hints.config import Hint
from zoo.learn.losses import attention, fitnet, pooled, relational

LOSSES = {"fitnet": fitnet, "attention": attention, "relational": relational, "pooled": pooled}
ON_MAPS = ("fitnet", "attention")


@dataclass(frozen=True)
class Features:
    """The outputs of the hinted layers of each network in its latest forward pass, by the layer's name."""

    student: dict[str, Any] = field(default_factory=dict)
    teacher: dict[str, Any] = field(default_factory=dict)


class Hints(nn.Module):
    """All hints of a training. The adapters, which are trained, are its only state: the networks are no part of it.

    Call order, in each step::

        with hints.watch() as features:
            logits, output = teacher(images), student(images)
        parts = hints.losses(features)

    `example`: a small batch as the student takes it, `teacher_example` as the teacher does where that differs. Each
    network is run with it once, in eval mode and without gradient, which shows the shapes of its features; no buffer
    and no mode changes.
    `InputError` for an unknown layer, for features that a loss cannot take, and for two hints of one name.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        hints: Sequence[Hint],
        example: Tensor,
        *,
        teacher_example: Tensor | None = None,
    ) -> None:
        super().__init__()
        names = [hint.name for hint in hints]
        if len(set(names)) < len(names):
            raise InputError(f"two hints are both {max(names, key=names.count)}: a layer takes one hint of each loss")
        self._hints = tuple(hints)
        # Dicts, because layers that were attributes would be trained, moved and saved with the adapters.
        self._student = {hint.student: _layer(student, hint.student, "student") for hint in hints}
        self._teacher = {hint.teacher: _layer(teacher, hint.teacher, "teacher") for hint in hints}
        with self.watch() as features, _in_eval_mode(student), _in_eval_mode(teacher):
            student(example)
            teacher(example if teacher_example is None else teacher_example)
        shapes = [[found.shape for found in _pair(hint, features)] for hint in hints]
        self.adapters = nn.ModuleList(adapter(hint.loss, *pair) for hint, pair in zip(hints, shapes, strict=True))
        self.adapters.to(example.device)

    @contextmanager
    def watch(self) -> Iterator[Features]:
        """Collect the features of what runs inside the `with`. No hook stays behind, even after an exception.

        `torch.compile` leaves out hooks that it did not meet while tracing: name layers of networks that run eagerly.
        """
        features = Features()
        with ExitStack() as hooks:
            for layers, found in ((self._student, features.student), (self._teacher, features.teacher)):
                for name, layer in layers.items():
                    hooks.enter_context(layer.register_forward_hook(_keep(found, name)))
            yield features

    def losses(self, features: Features) -> dict[str, Tensor]:
        """`hint.LOSS:STUDENT_LAYER` -> its weighted loss, a float32 scalar with gradient to student and adapters.

        `InputError` for a layer that did not run while it was watched.
        """
        parts = {}
        for hint, adapt in zip(self._hints, self.adapters, strict=True):
            student, teacher = _pair(hint, features)
            parts[hint.name] = hint.weight * LOSSES[hint.loss](adapt(student), teacher)
        return parts


def _layer(network: nn.Module, name: str, role: str) -> nn.Module:
    layers = dict(network.named_modules())
    if name not in layers:
        raise InputError(f"the {role} has no layer '{name}'{nearest(name, layers)}")
    return layers[name]


def _keep(features: dict[str, Any], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_layer: nn.Module, _inputs: Any, output: Any) -> None:
        # A copy, because what follows may work in place, as ReLU does on what BatchNorm gave.
        features[name] = output.clone() if isinstance(output, Tensor) else output

    return hook


def _pair(hint: Hint, features: Features) -> tuple[Tensor, Tensor]:
    """The features of the student and of the teacher that a hint compares."""
    return (
        _features(hint, features.student, hint.student, "student"),
        _features(hint, features.teacher, hint.teacher, "teacher"),
    )


def _features(hint: Hint, features: dict[str, Any], name: str, role: str) -> Tensor:
    if name not in features:
        raise InputError(f"the {role}'s layer '{name}' did not run: hints need both networks to run in every step")
    found = features[name]
    wanted = "[N, channels, H, W]" if hint.loss in ON_MAPS else "[N, channels, ...]"
    if not isinstance(found, Tensor):
        raise InputError(f"{hint.name} needs {wanted}; the {role}'s layer '{name}' gives a {type(found).__name__}")
    if found.dim() < 2 or (hint.loss in ON_MAPS and found.dim() != 4):
        raise InputError(f"{hint.name} needs {wanted}; the {role}'s layer '{name}' gives {list(found.shape)}")
    return found


@contextmanager
def _in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Eval mode without gradient; afterwards every layer is back in its own mode, frozen ones among them."""
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, training in modes:
            layer.training = training
