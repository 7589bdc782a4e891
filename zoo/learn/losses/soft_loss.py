"""What a soft loss says of itself, beside its function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import Generic, ParamSpec

from torch import Tensor

from zoo.learn.losses.precision import Loss

P = ParamSpec("P")


@dataclass(eq=False)
class SoftLoss(Generic[P]):
    """A loss between a student and a teacher, called as its `function` is: `kd(student, teacher, temperature=4)`.

    `tasks`: those whose outputs it compares. `parameters`: all its keyword arguments, with their published values.
    `weights`: (hard, soft) as published. `needs_target`: whether it takes the true class, int64 [N], as third argument.
    `softmax`: whether its logits go through a softmax, so that they may be standardised first; `standardised_weights`
    are then the published ones, at temperature 2, where there are any.
    """

    function: Loss[P]
    tasks: tuple[str, ...]
    parameters: Mapping[str, float]
    weights: tuple[float, float]
    needs_target: bool
    softmax: bool
    standardised_weights: tuple[float, float] | None

    def __post_init__(self) -> None:
        self.name = self.function.__name__
        update_wrapper(self, self.function)

    def __call__(self, student: Tensor, teacher: Tensor, /, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        """The loss, a scalar."""
        return self.function(student, teacher, *args, **kwargs)


def soft_loss(
    *,
    tasks: tuple[str, ...],
    parameters: Mapping[str, float] | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
    needs_target: bool = False,
    softmax: bool = False,
    standardised_weights: tuple[float, float] | None = None,
) -> Callable[[Loss[P]], SoftLoss[P]]:
    """Describe the function below as a soft loss that recipes can name; the settings are those of `SoftLoss`.

    Of the losses in `zoo.learn.losses.registry`, the first that names a task is that task's usual one. `weights` are
    equal halves where nobody published any.
    """

    def described(function: Loss[P]) -> SoftLoss[P]:
        return SoftLoss(function, tasks, parameters or {}, weights, needs_target, softmax, standardised_weights)

    return described
