"""Weights of the same network under other names: matched by their order."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

COUNTER = "num_batches_tracked"  # BatchNorm's; older files have none, and nothing in eval mode reads it


def under_own_names(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` under the names of `own`, where the two differ in names alone; otherwise `state` as it is.

    They do when both hold as many tensors and each pair in order ends in the same word (weight, bias, running_mean
    ...) and has the same shape. The last layer's shapes may differ: it has a row for each class. BatchNorm's counters
    are those of `own` where `state` has none.
    """
    counted = {key: value for key, value in own.items() if key.endswith(COUNTER)}
    ours = [key for key in own if key not in counted]
    theirs = [key for key in state if not key.endswith(COUNTER)]
    if set(ours) == set(theirs):
        return counted | dict(state)
    same = len(ours) == len(theirs) and all(
        mine.rpartition(".")[2] == other.rpartition(".")[2]
        and (own[mine].shape == state[other].shape or _layer(mine) == _layer(ours[-1]))
        for mine, other in zip(ours, theirs, strict=True)
    )
    return counted | {mine: state[other] for mine, other in zip(ours, theirs, strict=True)} if same else dict(state)


def _layer(key: str) -> str:
    return key.rpartition(".")[0]
