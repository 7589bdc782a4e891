"""The copy of a network that is exported: every BatchNorm folded into the convolution before it, in fp32."""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from zoo.learn.networks import Normalised


def folded(network: nn.Module) -> nn.Module:
    """A folded copy in eval mode; the network itself stays as it is.

    Folding here and not in the exporter keeps it in fp32 also where the graph is fp16 later. A network that torch.fx
    cannot trace is only copied: the exporter then folds what it can, and the parity gate says what it cost.
    """
    copied = copy.deepcopy(network).eval()
    for module in copied.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010  (undoing them costs the exporter half of its time)
    try:
        return fuse(copied).eval()
    except (fx.proxy.TraceError, NotImplementedError, TypeError):
        return copied


def folded_face(network: Normalised) -> Normalised:
    """The same with the face in front: uint8 [N, H, W, 3] -> [N, size]."""
    return network.around(folded(network.network))
