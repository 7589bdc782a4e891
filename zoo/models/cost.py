"""What a network costs: parameters, buffers and multiply-accumulates, in all and per layer. Counted, not timed."""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.models.outputs import has_auxiliary_heads, is_auxiliary


@dataclass(frozen=True)
class Cost:
    """`macs`: multiply-accumulates of convolutions and matrix products for one image."""

    parameters: int
    buffers: int
    macs: int

    def as_dict(self) -> dict[str, int]:
        """The three numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class LayerCost:
    """One layer's share: `inputs` and `outputs` are channels, `height` and `width` those of the map it writes.

    `kind`: conv, grouped, depthwise, pointwise, linear, or the lower-case class name of anything else. `kernel`: height
    and width, None where there is none. `ratio`: see `layers`.
    """

    name: str
    kind: str
    kernel: tuple[int, int] | None
    inputs: int
    outputs: int
    height: int
    width: int
    parameters: int
    macs: int
    ratio: float | None = None


def parameters(network: nn.Module) -> int:
    """How many numbers are trained, without those of auxiliary heads, which nothing reads afterwards."""
    return sum(parameter.numel() for parameter in _read(network, network.named_parameters()))


def statistics(network: nn.Module) -> int:
    """How many numbers are kept but not trained: BatchNorm's means and variances (its call counters left out)."""
    return sum(buffer.numel() for buffer in _read(network, network.named_buffers()) if buffer.is_floating_point())


def _read(network: nn.Module, tensors: Iterable[tuple[str, Tensor]]) -> list[Tensor]:
    """Those that a network reads in eval mode."""
    spare = has_auxiliary_heads(network)
    return [tensor for name, tensor in tensors if not (spare and is_auxiliary(name))]


def cost(network: nn.Module, height: int, width: int) -> Cost:
    """Cost of one float [1, 3, height, width] image. Runs on the meta device: no arithmetic, no memory."""
    counter = _run(_shadow(network), height, width)
    return Cost(parameters(network), statistics(network), counter.get_total_flops() // 2)


def layers(network: nn.Module, height: int, width: int) -> list[LayerCost]:
    """What every layer costs for one float [1, 3, height, width] image, in the order of execution.

    A layer is a module with parameters or MACs of its own; the MACs of all of them add up to those of `cost`, and so do
    the parameters, but for modules that never run themselves.

    A depthwise KxK convolution and the pointwise one that follows it on the same map replace a full KxK convolution.
    The row of the pointwise one says as `ratio` at which share of its MACs (Howard et al. 2017, arXiv:1704.04861):
    (K*K*Cin + Cin*Cout) / (K*K*Cin*Cout) = (K*K + Cout) / (K*K*Cout).
    """
    shadow = _shadow(network)
    ran: dict[str, tuple[nn.Module, torch.Size, torch.Size]] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        ran[name] = module, _shape(inputs), _shape(output)

    for name, module in shadow.named_modules():
        module.register_forward_hook(partial(note, name))
    flops = _run(shadow, height, width).get_flop_counts()

    root = type(shadow).__name__
    macs = {name: sum(flops.get(f"{root}.{name}" if name else root, {}).values()) // 2 for name in ran}
    own = macs.copy()
    for name in filter(None, ran):  # what a module is counted for includes the modules that run inside it
        own[_parent(name, ran)] -= macs[name]
    rows: list[LayerCost] = []
    for name, (module, before, after) in ran.items():
        trained = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if trained or own[name]:
            row = _row(name, module, before, after, trained, own[name])
            rows.append(replace(row, ratio=_ratio(rows, row)))
    return rows


def _shadow(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("meta").eval()


def _run(shadow: nn.Module, height: int, width: int) -> FlopCounterMode:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, 3, height, width, device="meta"))
    return counter


def _shape(value: Any) -> torch.Size:
    """The shape of a tensor, or of the first one in a list."""
    while isinstance(value, tuple | list) and value:
        value = value[0]
    return value.shape if isinstance(value, Tensor) else torch.Size((1, 0))


def _parent(name: str, ran: Container[str]) -> str:
    """The innermost module that ran around this one; a ModuleList, for one, does not run."""
    name = name.rpartition(".")[0]
    return name if name in ran else _parent(name, ran)


def _row(name: str, module: nn.Module, before: torch.Size, after: torch.Size, trained: int, macs: int) -> LayerCost:
    # maps are [N, C, H, W]; vectors and tokens are [N, ..., C], and so are maps where these two layers see them
    maps = len(after) == 4 and type(module) not in (nn.Linear, nn.LayerNorm)
    places = after[2:] if maps else after[1:-1]
    height, width = (*places, 1, 1)[:2]
    channel = 1 if maps else -1
    kernel = (module.kernel_size[0], module.kernel_size[1]) if isinstance(module, nn.Conv2d) else None
    return LayerCost(name, _kind(module), kernel, before[channel], after[channel], height, width, trained, macs)


def _kind(module: nn.Module) -> str:
    if not isinstance(module, nn.Conv2d):
        return type(module).__name__.lower()
    if module.groups > 1:
        return "depthwise" if module.groups == module.in_channels else "grouped"
    return "pointwise" if module.kernel_size == (1, 1) else "conv"


def _ratio(before: Iterable[LayerCost], row: LayerCost) -> float | None:
    """The pair's MACs by the full convolution's, which are K*K times the pointwise one's."""
    same_map = [other for other in before if other.kernel and (other.height, other.width) == (row.height, row.width)]
    match same_map:
        case [*_, LayerCost(kind="depthwise", kernel=(high, wide)) as last] if row.kind == "pointwise":
            if high * wide > 1 and last.outputs == row.inputs:
                return (last.macs + row.macs) / (high * wide * row.macs)
    return None
