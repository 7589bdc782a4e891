"""Trained weights: read from a file, a package or a library's hub, and taken over by a network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.errors import EnvironmentProblem, InputError, first_line
from zoo.models.config import Network
from zoo.models.head import head_name, start_at_zero
from zoo.models.library import HUB
from zoo.models.pretrained.key_order import under_own_names
from zoo.models.pretrained.packages import PACKAGE, package_file
from zoo.progress import note


def trained_weights(spec: Network) -> tuple[dict[str, Tensor], str]:
    """The tensors that `spec.weights` names, a file, `hub` or `package`, and what messages call them."""
    if spec.weights == HUB:
        return hub_weights(spec), spec.model
    path = package_file(spec.model) if spec.weights == PACKAGE else Path(spec.weights)
    return read_weights(path), spec.model if spec.weights == PACKAGE else spec.weights


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file or a .pth state dict. Nothing is unpickled but tensors."""
    if not path.is_file():
        raise InputError(f"no such weights file: {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, zip and the restricted unpickler each raise their own
        raise InputError(f"{path} cannot be read as weights: {first_line(error)}") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    return state


def hub_weights(spec: Network) -> dict[str, Tensor]:
    """What the library itself would download, for its own number of classes."""
    library, _, name = spec.model.rpartition(":")
    if not library:
        raise InputError(f"{spec.model} is a family of ours and has no hub: give a file as weights")
    try:
        if library == "timm":
            import timm

            pretrained: nn.Module = timm.create_model(name, pretrained=True, **spec.knobs)
        else:
            from torchvision import models

            pretrained = models.get_model(name, weights="DEFAULT", **spec.knobs)
    except (OSError, RuntimeError) as error:  # urllib's, huggingface_hub's and torch.hub's errors are all of these
        reason = first_line(error)
        raise EnvironmentProblem(f"cannot fetch the weights of {spec.model}: {reason}; give a local file") from error
    return pretrained.state_dict()


def adopt(network: nn.Module, state: dict[str, Tensor], origin: str, head_may_be_fresh: bool) -> None:
    """Take over `state`, by names, or by order where only the names differ. If it may, a classifier of another number
    of classes starts at zero, and a head of another kind is fresh with its last layer at zero; any other difference is
    an error that names it.
    """
    own = network.state_dict()
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
    network.load_state_dict({key: value for key, value in state.items() if key not in left_out}, strict=not left_out)
    if left_out:
        start_at_zero(network, left_out)


def weights_sha256(network: nn.Module) -> str:
    """Hex SHA-256 of the names, types, shapes and numbers of all weights and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
