"""The operators of the domain `zoo.int8`, as the rewrite puts them in the place of what ends in a QuantizeLinear.

All activations are uint8 NHWC. Rounding is half to even, `clamp` is to `low` and `high`, which are 0 and 255 in QMean.

QConv: x, weights int8 [OC, KH, KW, C / group], multiplier f32 [OC], offset f32 [OC], optionally a residual; y is
clamp(round(multiplier * sum((x - x_zero) * w) + offset + residual_multiplier * residual)); padding counts as x_zero.
QMaxPool: padding never counts. QMean: y [N, C] is clamp(round(multiplier * sum over H, W of x + offset)).
QLevels: x and a table uint8 [C, 256]; y[..., c] is table[c, x[..., c]].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zoo.graphs.index import Array

DOMAIN, VERSION = "zoo.int8", 1


@dataclass(frozen=True)
class Operator:
    """One operator. Tensors are called as in the source graph, where all maps are NCHW.

    `name`: the node that it does the work of. `stored`: the numbers between the first input and the residual, by what
    they are. `from_image`: the input is the graph's own, NHWC already. `flat`: the output is [N, C].
    """

    kind: str
    name: str
    source: str
    output: str
    settings: dict[str, Any]
    stored: dict[str, Array]
    residual: str | None = None
    from_image: bool = False
    flat: bool = False

    @property
    def maps(self) -> list[str]:
        """The maps that it reads."""
        return [name for name in (None if self.from_image else self.source, self.residual) if name is not None]
