"""The fp16 form of a network: a half module between fp32 edges, but for the layers that fp16 cannot hold.

Precision then lives in the graph alone, where it can be seen and tested, and where a strongly typed TensorRT reads it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from torch import Tensor, fx, nn

from export.packing.activations import Seen, watch
from zoo.errors import VerdictError
from zoo.models.normalisation import Normalised
from zoo.models.outputs import outputs_of
from zoo.preprocess import Pixels

LARGEST = 65504.0  # of fp16: what is above becomes infinite
MARGIN = 4.0  # the calibration images are not all images: their largest value may be a quarter of that


@dataclass(frozen=True)
class HalfForm:
    """The network computing in fp16, and the layers that `kept` fp32, each with the reason."""

    network: Normalised
    kept: dict[str, str]


class HalfNetwork(nn.Module):
    """Float32 [N, 3, H, W] -> float32 [N, size], everything between in fp16."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, x: Tensor) -> Tensor:
        """Cast, compute in half, cast back: the only two casts that a graph gains."""
        return outputs_of(self.network(x.half())).main.float()


def half(network: Normalised, images: Pixels) -> HalfForm:
    """The same network with the same signature, computing in fp16; normalisation stays in fp32. Fold BatchNorm first.

    A layer that reads or writes more than fp16 holds, with a margin, on `images` (uint8 [N, H, W, 3]) keeps fp32, and
    nothing between two such layers is cast to half. Raises `VerdictError` where there is one in a network that torch.fx
    cannot trace, and that can therefore not be cast layer by layer.
    """
    seen, inner = watch(network, images), network.network
    if isinstance(inner, fx.GraphModule):
        wide = _wide(inner, seen)
        return HalfForm(network.around(_narrowed(inner, seen, wide)), _named(inner, wide))
    for name, reach in seen.largest.items():
        if reach > LARGEST / MARGIN:
            raise VerdictError(
                f"fp16 cannot hold this network: {name} {reaches(reach)}, and torch.fx cannot trace the network, so "
                "no layer can be kept in fp32 on its own: leave fp16 out"
            )
    return HalfForm(network.around(HalfNetwork(inner)), {})


def reaches(reach: float) -> str:
    """Why a layer is kept, for a person."""
    return f"reaches {reach:.3g} on the calibration images, and fp16 ends at {LARGEST:.0f}"


def _wide(module: fx.GraphModule, seen: Seen) -> dict[str, str]:
    """The nodes that compute in fp32, and why."""
    found = {}
    for node in module.graph.nodes:
        if node.op in {"placeholder", "get_attr", "output"}:
            continue
        heights = {other: seen.largest.get(other.name, 0.0) for other in (node, *node.all_input_nodes)}
        if node.op == "call_module":
            parameters = module.get_submodule(str(node.target)).parameters()
            heaviest = max((float(weight.detach().abs().max()) for weight in parameters), default=0.0)
            if heaviest > LARGEST:
                found[node.name] = f"has a weight of {heaviest:.3g}, and fp16 ends at {LARGEST:.0f}"
        reach = max(heights.values())
        if reach > LARGEST / MARGIN:
            found[node.name] = ("" if heights[node] == reach else "its input ") + reaches(reach)
    shared = {node.target for node in module.graph.nodes if node.name in found and node.op == "call_module"}
    for node in module.graph.nodes:  # a module that is called twice has its weights once
        if node.op == "call_module" and node.target in shared:
            found.setdefault(node.name, "is the same module as one that is kept")
    return found


def _named(module: fx.GraphModule, wide: dict[str, str]) -> dict[str, str]:
    names = {node.name: str(node.target) if node.op == "call_module" else node.name for node in module.graph.nodes}
    return {names[name]: reason for name, reason in wide.items()}


def _narrowed(module: fx.GraphModule, seen: Seen, wide: dict[str, str]) -> fx.GraphModule:
    """A copy in half but for the `wide` nodes, with a cast wherever the precision changes and nowhere else."""
    narrow = copy.deepcopy(module)
    _fix_pools(narrow, seen)
    narrow.half()
    graph, kinds, casts = narrow.graph, {}, {}
    for node in list(graph.nodes):
        if node.op == "call_module" and node.name in wide:
            narrow.set_submodule(str(node.target), copy.deepcopy(module.get_submodule(str(node.target))))
        if node.op in {"placeholder", "get_attr"}:
            kinds[node] = "float" if node.op == "placeholder" else "half"
            continue
        kinds[node] = "float" if node.op == "output" or node.name in wide else "half"
        for source in node.all_input_nodes:
            if source.name not in seen.largest or kinds[source] == kinds[node]:
                continue
            if (source, kinds[node]) not in casts:
                with graph.inserting_after(source):
                    casts[source, kinds[node]] = graph.call_method(kinds[node], (source,))
            node.replace_input_with(source, casts[source, kinds[node]])
    graph.lint()
    narrow.recompile()
    return narrow


def _fix_pools(module: fx.GraphModule, seen: Seen) -> None:
    """Adaptive pools have no half kernel on a CPU, and the exporter casts around them: at a known size they are plain
    pools, or nothing at all.
    """
    for node in module.graph.nodes:
        if node.op != "call_module" or not isinstance(module.get_submodule(node.target), nn.AdaptiveAvgPool2d):
            continue
        before, after = seen.shape[node.all_input_nodes[0].name][2:], seen.shape[node.name][2:]
        if before == after:
            module.set_submodule(node.target, nn.Identity())
        elif after != (1, 1) and all(side % to == 0 for side, to in zip(before, after, strict=True)):
            sides = [side // to for side, to in zip(before, after, strict=True)]
            module.set_submodule(node.target, nn.AvgPool2d((sides[0], sides[1])))
