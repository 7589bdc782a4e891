"""The copy of a network that is exported: branches and every BatchNorm folded into one convolution, in fp32."""

from __future__ import annotations

from torch import fx, nn
from torch.fx.experimental.optimization import fuse

from zoo.models.families.reparameterize import reparameterize
from zoo.models.normalisation import Normalised


def folded(network: nn.Module) -> nn.Module:
    """A folded copy in eval mode; the network itself stays as it is.

    Folding here and not in the exporter keeps it in fp32 also where the graph is fp16 later. Of a network that torch.fx
    cannot trace only branches are folded: the exporter then folds what it can, and the parity gate says what it cost.
    """
    copied = reparameterize(network)
    for module in copied.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010  (undoing them costs the exporter half of its time)
    try:
        return fuse(copied).eval()
    except (fx.proxy.TraceError, NotImplementedError, TypeError):
        return copied


def folded_with_signature(network: Normalised) -> Normalised:
    """The same with a bundle's signature: uint8 [N, H, W, 3] -> [N, size]."""
    return network.around(folded(network.network))
