"""A library's own pretrained network, and the settings that come with its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from zoo.errors import EnvironmentProblem, InputError, first_line
from zoo.files import sha256
from zoo.models.config import Network
from zoo.models.fingerprint import settings_of
from zoo.models.library import HUB, constructor
from zoo.models.outputs import drop_auxiliary_heads
from zoo.models.weights.packages import PACKAGE

# What a library sets, beside tensors, only when it loads its weights; found out by comparing its networks with and
# without them, which `check_settings` does again for each network that is fetched. The first decides what the network
# says of an image: with the other value the same tensors give other logits.
SETTINGS: dict[str, dict[str, Any]] = {
    "torchvision:googlenet": {"transform_input": True, "aux_logits": False},
    "torchvision:inception_v3": {"transform_input": True},
    "timm:fbnetc_100": {"bn_eps": 1e-3},
}


def library_network(spec: Network) -> nn.Module:
    """The network with its weights as the library's users get it, for the library's number of classes, in eval mode.

    `InputError` for a family of ours, `EnvironmentProblem` where the weights cannot be fetched.
    """
    make = constructor(spec.model)
    timm = spec.model.startswith("timm:")
    wanted: dict[str, Any] = {"pretrained": True} if timm else {"weights": "DEFAULT"}
    without_heads = spec.knobs.get("aux_logits") is False and not timm  # which torchvision loads weights with, always
    knobs = {key: value for key, value in spec.knobs.items() if not (without_heads and key == "aux_logits")}
    try:
        network = make(**wanted, **knobs)
    except (OSError, RuntimeError) as error:  # urllib's, huggingface_hub's and torch.hub's errors are all of these
        reason = first_line(error)
        raise EnvironmentProblem(f"cannot fetch the weights of {spec.model}: {reason}; give a local file") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{spec.model}: {first_line(error)}") from None
    if without_heads:
        drop_auxiliary_heads(network)
    return network.eval()


def with_settings(spec: Network) -> Network:
    """The same entry, with the settings that come with its weights written out as knobs.

    So a network that is built from the entry without its weights, as a checkpoint's is, is the same one. `InputError`
    where a file of weights does not say with which settings it was trained, and the knobs do not either.
    """
    if spec.weights == HUB:
        return spec.model_copy(update={"knobs": _image_size(spec.model) | SETTINGS.get(spec.model, {}) | spec.knobs})
    if spec.model not in SETTINGS or spec.weights in ("", PACKAGE):
        return spec
    file, usual = Path(spec.weights.partition("#")[0]), SETTINGS[spec.model]
    decisive = next(iter(usual))
    if _is_the_librarys(file, spec.model):
        return spec.model_copy(update={"knobs": usual | spec.knobs})
    ours = _knobs_of_our_checkpoint(file)
    if ours is None and decisive not in spec.knobs and file.is_file():
        raise InputError(
            f"{file} does not say whether {spec.model} was trained from the library's own weights, which come with "
            f"{decisive} = {json.dumps(usual[decisive])}, or without them: give this knob (zoo export has --set)"
        )
    kept = {key: value for key, value in (ours or {}).items() if key in usual}
    return spec.model_copy(update={"knobs": kept | spec.knobs})


def check_settings(spec: Network, theirs: nn.Module, ours: nn.Module) -> None:
    """`InputError` where the library's pretrained network differs from `ours`, built without weights for as many
    classes, in more than tensors.
    """
    here, there = (dict(settings_of(network)) for network in (ours, theirs))
    for part, found in there.items():
        if here.get(part) != found:
            name = f"'{part}'" if part else "the whole"
            raise InputError(
                f"{spec.model}: its pretrained weights come with other settings of {name} than the network has without "
                f"them: {found}, not {here.get(part, 'absent')}: give them as knobs"
            )


def _image_size(model: str) -> dict[str, Any]:
    """The side for which torchvision's weights of a vision transformer were made."""
    library, _, name = model.partition(":")
    if library != "torchvision" or not name.startswith("vit_"):
        return {}
    from torchvision import models

    return {"image_size": models.get_model_weights(name)["DEFAULT"].meta["min_size"][0]}


def _is_the_librarys(file: Path, model: str) -> bool:
    """Whether a file is one that torchvision offers for this network: its SHA-256 is in the file's address."""
    library, _, name = model.partition(":")
    if library != "torchvision" or not file.is_file():
        return False
    from torchvision import models

    digest = sha256(file)
    offered = [entry.url.rpartition("-")[2].partition(".")[0] for entry in models.get_model_weights(name)]
    return any(digest.startswith(start) for start in offered)


def _knobs_of_our_checkpoint(file: Path) -> dict[str, Any] | None:
    """The network's knobs in the header of a checkpoint of this project; None for any other file."""
    try:
        with safe_open(file, framework="pt") as opened:
            header = (opened.metadata() or {}).get("zoo")
    except (SafetensorError, OSError):
        return None
    return None if header is None else dict(json.loads(header)["network"].get("knobs", {}))
