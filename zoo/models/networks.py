"""Networks by name, ours or a library's, with the normalisation they expect built in front."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo import models
from zoo.errors import EnvironmentProblem, InputError, first_line, missing_package, nearest
from zoo.models.config import Network
from zoo.progress import note


class Normalised(nn.Module):
    """uint8 [N, H, W, 3] RGB -> answers [N, outputs]: scaling, normalisation and layout, then the network.

    Nobody outside can get the normalisation wrong, in training as in the exported graph.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self._channels = tuple(mean), tuple(std)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    def around(self, network: nn.Module) -> Normalised:
        """The same normalisation in front of another network, in the same mode."""
        return Normalised(network, *self._channels).train(self.training)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (or float, 0 to 255) [N, H, W, 3] -> answers [N, outputs]. Permuted, it lies in channels_last order."""
        answers: Tensor = self.network(self.normalise(images))
        return answers

    def normalise(self, images: Tensor) -> Tensor:
        """What the network itself is fed: float [N, 3, H, W]."""
        # The cast comes first: TensorRT can do nothing else to uint8.
        return (images.to(self.mean.dtype).permute(0, 3, 1, 2) - self.mean) / self.std


def weights_sha256(network: nn.Module, about: str = "") -> str:
    """Hex SHA-256 of `about` and of the names, types, shapes and numbers of all weights and buffers."""
    digest = hashlib.sha256(about.encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def evaluate(network: nn.Module, images: Tensor, *, batch: int = 256) -> Tensor:
    """Answers of a network to uint8 [N, H, W, 3], in eval mode and without gradient: [N, outputs] on the CPU.

    They are computed where the network is, on a GPU in fp32 without TF32.
    """
    was_training = network.training
    place = next((weights.device for weights in network.parameters()), torch.device("cpu"))
    network.eval()
    with torch.inference_mode(), _without_tf32():
        answers = [network(part.to(place)).float().cpu() for part in images.split(batch)]
    network.train(was_training)
    return torch.cat(answers)


@contextmanager
def _without_tf32() -> Iterator[None]:
    """10 bits of mantissa would do for a training step, and are too few to be scored by."""
    backends: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


def build(spec: Network, *, classes: int, size: int, head_may_be_fresh: bool = False, device: str = "cpu") -> nn.Module:
    """The bare network of a recipe's entry, with its weights if it names any: float [N, 3, H, W] -> [N, classes].

    `head_may_be_fresh`: whether weights for another number of classes are welcome, because training follows.
    """
    if given := sorted({"classes", "num_classes", "size"} & spec.knobs.keys()):
        raise InputError(f"{spec.model}: '{given[0]}' is no knob: it comes with the data (zoo list: --classes, --size)")
    library, _, name = spec.model.rpartition(":")
    with torch.device(device):
        if library == "torchvision":
            network = _torchvision(name, spec, classes)
        elif library == "timm":
            network = _timm(name, spec, classes)
        elif not library:
            network = models.build(name, classes=classes, size=size, **spec.knobs)
        else:
            raise InputError(f"no models from '{library}': a model is a family, torchvision:NAME, timm:NAME or run:DIR")
        if spec.weights:
            state = hub_weights(spec) if spec.weights == "hub" else read_weights(Path(spec.weights))
            adopt(network, state, spec.model if spec.weights == "hub" else spec.weights, head_may_be_fresh)
        if spec.stem_stride is not None:
            _small_stem(network, spec)
    return network.to(memory_format=torch.channels_last)


def _torchvision(name: str, spec: Network, classes: int) -> nn.Module:
    try:
        from torchvision import models as library
    except ImportError:
        raise missing_package("torchvision", "train", f"torchvision:{name}") from None
    known = library.list_models(module=library)
    if name not in known:
        raise InputError(f"torchvision has no classifier '{name}'{nearest(name, known)}")
    return _construct(lambda: library.get_model(name, num_classes=classes, **spec.knobs), spec)


def _timm(name: str, spec: Network, classes: int) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise missing_package("timm", "train", f"timm:{name}") from None
    if not timm.is_model(name):
        raise InputError(f"timm has no model '{name}'{nearest(name, timm.list_models())}")
    return _construct(lambda: timm.create_model(name, num_classes=classes, **spec.knobs), spec)


def _construct(make: Any, spec: Network) -> nn.Module:
    try:
        network: nn.Module = make()
    except TypeError as error:
        raise InputError(f"{spec.model}: {error}") from None
    return network


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


def _small_stem(network: nn.Module, spec: Network) -> None:
    """A 3x3 first convolution instead of 7x7. Strides 1 and 2 drop the max-pool (1 is He et al.'s CIFAR stem), 4 keeps
    it behind a stride of 2.
    """
    first = getattr(network, "conv1", None)
    if not isinstance(first, nn.Conv2d) or not hasattr(network, "maxpool"):
        raise InputError(f"stem_stride is for torchvision ResNets, which {spec.model} is not")
    network.conv1 = nn.Conv2d(3, first.out_channels, 3, min(spec.stem_stride or 1, 2), 1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    if spec.stem_stride != 4:
        network.maxpool = nn.Identity()


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


def adopt(network: nn.Module, state: dict[str, Tensor], origin: str, head_may_be_fresh: bool) -> None:
    """Take over `state`. If it may, a classifier of another number of classes keeps its fresh weights, and so does the
    whole head where the two are of different kinds; any other difference is an error that names it.
    """
    own = network.state_dict()
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


def head_name(network: nn.Module) -> str:
    """The name of what turns features into answers: the outermost child that holds the last dense layer."""
    found = ""
    for name, child in network.named_children():
        if any(isinstance(part, nn.Linear) for part in child.modules()):
            found = name
    if not found:
        raise InputError(f"{type(network).__name__} has no dense layer: it has no head of its own")
    return found
