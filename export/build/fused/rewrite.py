"""The rewrite: of a folded network, the layers that the operators compute are replaced by modules that call them.

What matches is recognised by what it computes, not by the names of classes: a depthwise convolution between two 1x1
convolutions (MobileNetV2's block, ours or torchvision's) or before one (MobileNetV1's), the last 1x1 convolution with
the average behind it, the classifier behind that, and the first convolution with the normalisation in front of it.
"""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from export.build.fused.modules import Block, Linear, PooledPointwise, Stage, Stem
from zoo.errors import InputError

_BY_CLASS = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Hardswish: "hardswish", nn.SiLU: "silu"}
_BY_FUNCTION: dict[Any, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    F.relu6: "relu6",
    F.hardswish: "hardswish",
    F.silu: "silu",
}
_CASTS = {"half", "bfloat16", "float"}


def rewritten(network: nn.Module, mean: Tensor, deviation: Tensor) -> nn.Module:
    """The network with its normalisation built in and everything that matches replaced: uint8 [N, H, W, 3] -> outputs.

    `network`: a folded network in eval mode, float32 [N, 3, H, W] -> outputs, computing in its weights' precision;
    `mean` and `deviation` of the three colours, in levels of 255. It stays as it is. Raises `InputError` where no block
    matches, because then there is nothing to gain.
    """
    if not isinstance(network, fx.GraphModule):
        raise InputError(
            "torch.fx cannot trace this network, so that its layers cannot be fused: --backend aotinductor builds it"
        )
    graph = _Graph(copy.deepcopy(network))
    if not graph.fuse_blocks():
        raise InputError(
            "this network has no depthwise separable block, so that nothing is fused: --backend aotinductor builds it"
        )
    graph.fuse_head()
    graph.fuse_stem(mean, deviation)
    return graph.done()


class _Graph:
    def __init__(self, module: fx.GraphModule) -> None:
        self._module = module
        self._nodes = module.graph
        self._made = 0

    def fuse_blocks(self) -> int:
        """Replace every block; how many."""
        return sum(self._fuse_block(node) for node in list(self._nodes.nodes) if self._is_depthwise(node))

    def _fuse_block(self, node: fx.Node) -> bool:
        filtering, end = self._stage(node)
        project_node = _only_user(end)
        if project_node is None or not self._is_pointwise(project_node):
            return False
        project, end = self._stage(project_node)
        start, expand = node.args[0], None
        before = self._before(start)
        if before is not None and self._is_pointwise(before):
            expand, start = self._stage(before)[0], before.args[0]
        types = {stage.conv.weight.dtype for stage in (expand, filtering, project) if stage}
        if len(types) > 1 or not isinstance(start, fx.Node):
            return False
        adding = _only_user(end)
        first = (expand or filtering).conv
        residual = (
            adding is not None
            and adding.target in {operator.add, torch.add}
            and set(adding.args) == {start, end}
            and not adding.kwargs
            and filtering.conv.stride == (1, 1)
            and first.in_channels == project.conv.out_channels
        )
        self._replace(
            adding if residual and adding else end, start, Block(expand, filtering, project, residual=residual)
        )
        return True

    def fuse_head(self) -> None:
        """The last 1x1 convolution and the average over all pixels; the classifier behind it."""
        for node in list(self._nodes.nodes):
            if not self._is_pointwise(node):
                continue
            stage, end = self._stage(node)
            pooled = self._pooled(end)
            if pooled is not None and isinstance(node.args[0], fx.Node):
                head = self._replace(pooled, node.args[0], PooledPointwise(stage))
                self._fuse_classifier(head)

    def _fuse_classifier(self, node: fx.Node) -> None:
        dense = _only_user(node)
        if dense is not None and isinstance(self._layer(dense), nn.Dropout):  # does nothing in eval mode
            dense = _only_user(dense)
        layer = None if dense is None else self._layer(dense)
        if dense is None or not isinstance(layer, nn.Linear):
            return
        cast = _only_user(dense)
        wide = cast is not None and cast.op == "call_method" and cast.target == "float"
        self._replace(cast if wide and cast else dense, node, Linear(layer, wide=wide))

    def fuse_stem(self, mean: Tensor, deviation: Tensor) -> None:
        """Let the network take pixels: in the first convolution's kernel where that fits, otherwise by plain layers."""
        shown = next(node for node in self._nodes.nodes if node.op == "placeholder")
        node = _only_user(shown)
        if node is not None and node.op == "call_method" and node.target in _CASTS:
            node = _only_user(node)
        conv = None if node is None else self._layer(node)
        if node is not None and isinstance(conv, nn.Conv2d) and self._is_stem(conv):
            stage, end = self._stage(node)
            self._replace(end, shown, Stem(mean, deviation, stage))
            return
        with self._nodes.inserting_after(shown):
            normalised = self._nodes.call_module(self._add(_Normalise(mean, deviation)), (shown,))
        shown.replace_all_uses_with(normalised, lambda user: user is not normalised)

    def done(self) -> fx.GraphModule:
        """The module, without the layers that it does not call any more."""
        self._nodes.eliminate_dead_code()
        self._nodes.lint()
        self._module.delete_all_unused_submodules()
        self._module.recompile()
        return self._module.eval()

    def _layer(self, node: Any) -> nn.Module | None:
        """The module that a node calls, if it calls one, and with one argument."""
        if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.args) != 1 or node.kwargs:
            return None
        return self._module.get_submodule(str(node.target))

    def _is_depthwise(self, node: fx.Node) -> bool:
        conv = self._layer(node)
        return (
            isinstance(conv, nn.Conv2d)
            and conv.groups == conv.in_channels == conv.out_channels > 1
            and _is_plain(conv, {3, 5})
        )

    def _is_pointwise(self, node: fx.Node) -> bool:
        conv = self._layer(node)
        return isinstance(conv, nn.Conv2d) and conv.groups == 1 and conv.stride == (1, 1) and _is_plain(conv, {1})

    def _is_stem(self, conv: nn.Conv2d) -> bool:
        return conv.groups == 1 and conv.in_channels == 3 and conv.out_channels <= 128 and _is_plain(conv, {3})

    def _stage(self, node: fx.Node) -> tuple[Stage, fx.Node]:
        """A convolution with the activation behind it, and the last of the two nodes."""
        conv, user = self._layer(node), _only_user(node)
        assert isinstance(conv, nn.Conv2d)
        name = None if user is None else self._activation(user)
        return (Stage(conv, name), user) if name and user else (Stage(conv, "none"), node)

    def _before(self, node: Any) -> fx.Node | None:
        """The node that makes a block's expanded map, and that nothing else reads: behind it may be an activation."""
        if not isinstance(node, fx.Node) or len(node.users) != 1:
            return None
        if self._activation(node) is None:
            return node
        source = node.args[0]
        return source if isinstance(source, fx.Node) and len(source.users) == 1 else None

    def _activation(self, node: fx.Node) -> str | None:
        layer = self._layer(node)
        if layer is not None:
            return _BY_CLASS.get(type(layer))
        if node.op == "call_function" and len(node.args) == 1 and set(node.kwargs) <= {"inplace"}:
            return _BY_FUNCTION.get(node.target)
        return None

    def _pooled(self, node: fx.Node) -> fx.Node | None:
        """The node that has the mean over all pixels as [N, channels], if it is made of `node` and nothing else is."""
        user = _only_user(node)
        if user is None:
            return None
        if user.op == "call_method" and user.target == "mean":
            dims = user.args[1] if len(user.args) == 2 else None
            return user if dims in ((2, 3), [2, 3], (-2, -1), [-2, -1]) and not user.kwargs else None
        layer = self._layer(user)
        size: Any = layer.output_size if isinstance(layer, nn.AdaptiveAvgPool2d) else None
        if user.op == "call_function" and user.target is F.adaptive_avg_pool2d and len(user.args) == 2:
            size = user.args[1]
        after = _only_user(user)
        if size not in {1, (1, 1)} or after is None:
            return None
        flat = after.target is torch.flatten and after.args[1:] == (1,) and not after.kwargs
        return after if flat else None

    def _replace(self, last: fx.Node, source: fx.Node, module: nn.Module) -> fx.Node:
        """Let `module` make of `source` what `last` is now."""
        with self._nodes.inserting_after(last):
            node = self._nodes.call_module(self._add(module), (source,))
        last.replace_all_uses_with(node)
        for dead in [last, *_behind(source, last)]:
            if not dead.users:
                self._nodes.erase_node(dead)
        return node

    def _add(self, module: nn.Module) -> str:
        name = f"fused_{self._made}"
        self._made += 1
        self._module.add_submodule(name, module)
        return name


class _Normalise(nn.Module):
    """Pixels as floats: uint8 [N, H, W, 3] -> float32 [N, 3, H, W]."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.detach().float().reshape(1, 3, 1, 1))
        self.register_buffer("deviation", deviation.detach().float().reshape(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """(levels - mean) / deviation."""
        return (images.float().permute(0, 3, 1, 2) - self.mean) / self.deviation


def _behind(source: fx.Node, last: fx.Node) -> list[fx.Node]:
    """What `last` was made of, back to `source`, the latest first."""
    found: list[fx.Node] = []
    waiting = list(last.all_input_nodes)
    while waiting:
        node = waiting.pop()
        if node is not source and node.op != "placeholder" and node not in found:
            found.append(node)
            waiting.extend(node.all_input_nodes)
    return found


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_plain(conv: nn.Conv2d, sides: set[int]) -> bool:
    """A square filter of such a side that keeps the size but for its stride, and pads with zeros."""
    side, stride = conv.kernel_size[0], conv.stride
    return (
        conv.kernel_size == (side, side)
        and side in sides
        and conv.padding == (side // 2, side // 2)
        and conv.dilation == (1, 1)
        and stride[0] == stride[1]
        and conv.padding_mode == "zeros"
    )
