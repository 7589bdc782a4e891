"""Functions through `torch.compile`, as a recipe asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

import torch

from zoo.errors import EnvironmentProblem, first_line

# reduce-overhead replays CUDA graphs; max-autotune does so too, and tries every kernel that it knows. graph is default
# inside of a step that is captured as a whole (`zoo.learn.train.cuda_graph_step`).
CompileMode = Literal["off", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs", "graph"]
P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], mode: CompileMode) -> Callable[P, R]:
    """The function itself when `mode` is off, otherwise compiled anew for each shape of its arguments.

    A module's `forward` is what to give: the module stays as it is, its state dict and its other users too. Raises
    `EnvironmentProblem` at the first call where torch's compiler does not work; it needs a C++ compiler, and Triton on
    a GPU.
    """
    if mode == "off":
        return function
    from torch._dynamo.exc import TorchDynamoException

    fast: Any = torch.compile(function, dynamic=False, mode="default" if mode == "graph" else mode)

    def call(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            result: R = fast(*arguments, **named)
        except TorchDynamoException as error:
            raise EnvironmentProblem(f"torch.compile does not work here: {first_line(error)}") from error
        return result

    return call
