"""A network takes trained weights over: by names, by order where only names differ, with a fresh head if it may."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.errors import InputError
from zoo.models.config import Network
from zoo.models.head import head_name, start_at_zero
from zoo.models.outputs import has_auxiliary_heads, is_auxiliary
from zoo.models.weights.found import weights_in
from zoo.models.weights.key_order import under_own_names
from zoo.models.weights.packages import PACKAGE, package_file
from zoo.models.weights.read import read_file
from zoo.progress import note


def trained_weights(spec: Network, own: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The tensors that `spec.weights` names, a file, FILE#NAME for one of its copies, or `package`, and what messages
    call them. `own`: the state dict of the network that they are for.
    """
    if spec.weights == PACKAGE:
        return weights_in(read_file(package_file(spec.model)), own, spec.model), spec.model
    file, _, wanted = spec.weights.partition("#")
    if wanted and Path(spec.weights).is_file():
        file, wanted = spec.weights, ""
    return weights_in(read_file(Path(file)), own, spec.weights, wanted), spec.weights


def adopt(network: nn.Module, state: dict[str, Tensor], origin: str, head_may_be_fresh: bool) -> None:
    """Take over `state`, by names, or by order where only the names differ. If it may, a classifier of another number
    of classes starts at zero, and a head of another kind is fresh with its last layer at zero; any other difference is
    an error that names it. Auxiliary heads, which nothing reads after a training, may be there or not.
    """
    own = network.state_dict()
    spare = _other_auxiliary_heads(network, state)
    if spare & own.keys():
        note(f"{origin}: auxiliary heads start afresh")
    own, state = ({key: value for key, value in side.items() if key not in spare} for side in (own, state))
    named, state = state, under_own_names(state, own)
    if renamed := [key for key in named if key not in state]:
        note(f"{origin}: tensors have other names, the same order and shapes: taken in order, from '{renamed[0]}' on")
    unlike = [key for key in own.keys() | state.keys() if key not in own or key not in state]
    reshaped = [key for key in own.keys() & state.keys() if state[key].shape != own[key].shape]
    layers = {key.rpartition(".")[0] for key in reshaped}
    left_out: set[str] = set()
    if head_may_be_fresh and not unlike and len(layers) == 1:
        left_out = set(reshaped)
        note(f"{origin}: its classifier '{min(layers)}' has another number of classes and starts afresh")
    elif head_may_be_fresh and (unlike or reshaped):
        head = head_name(network) + "."
        left_out = {key for key in own.keys() | state.keys() if key.startswith(head)}
        if left_out.issuperset([*unlike, *reshaped]):
            note(f"{origin}: its head '{head[:-1]}' is another one and starts afresh")
    if strange := sorted({*unlike, *reshaped} - left_out):
        key = strange[0]
        there, here = (list(side[key].shape) if key in side else "absent" for side in (state, own))
        raise InputError(
            f"{origin} does not fit: {len(strange)} tensors differ; {key} is {there} there and {here} here"
        )
    kept = {key: value for key, value in state.items() if key not in left_out}
    network.load_state_dict(kept, strict=not (left_out or spare))
    if left_out:
        start_at_zero(network, left_out)


def _other_auxiliary_heads(network: nn.Module, state: Mapping[str, Tensor]) -> set[str]:
    """The tensors of auxiliary heads that only one of the two has, or has in another shape."""
    if not has_auxiliary_heads(network):
        return set()
    own = network.state_dict()
    heads = {key for key in own.keys() | state.keys() if is_auxiliary(key)}
    return {key for key in heads if key not in own or key not in state or state[key].shape != own[key].shape}


def weights_sha256(network: nn.Module) -> str:
    """Hex SHA-256 of the names, types, shapes and numbers of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
