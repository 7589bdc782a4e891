"""How timm and torchvision feed their classifiers: size, crop and normalisation. No torch until one is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from zoo.errors import InputError, missing_package, nearest

if TYPE_CHECKING:
    from torch import nn

LIBRARIES = ("timm:", "torchvision:")
HUB = "hub"  # in place of a file of weights: those that the library itself would download
IMAGENET = 1000  # classes of ImageNet-1k
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of channels scaled to 0..1


@dataclass(frozen=True)
class Usual:
    """How a library feeds its model: side in pixels, share of the resized picture that the crop keeps, channels, and
    the interpolation by the library's name of it.
    """

    size: int
    crop: float
    mean: Sequence[float]
    std: Sequence[float]
    interpolation: str = "bilinear"

    def resize(self, size: int) -> int:
        """The short side before a crop of `size` pixels."""
        return round(size / self.crop)


def constructor(model: str) -> Callable[..., nn.Module]:
    """The function by which a library makes timm:NAME or torchvision:NAME; it takes the library's keyword arguments.

    `InputError` for what no library of these has, `EnvironmentProblem` where the library is not installed.
    """
    library, _, name = model.rpartition(":")
    if not library:
        raise InputError(f"{model} is a family of ours and has no hub: give a file as weights")
    if library not in ("timm", "torchvision"):
        raise InputError(f"no models from '{library}': a model is a family, torchvision:NAME, timm:NAME or run:DIR")
    try:
        if library == "torchvision":
            from torchvision import models

            known = models.list_models(module=models)
            if name not in known:
                raise InputError(f"torchvision has no classifier '{name}'{nearest(name, known)}")
            return partial(models.get_model, name)
        import timm
    except ImportError:
        raise missing_package(library, "train", model) from None
    if not timm.is_model(name):
        raise InputError(f"timm has no model '{name}'{nearest(name, timm.list_models())}")
    return partial(timm.create_model, name)


def usual(model: str) -> Usual:
    """What timm:NAME or torchvision:NAME says of itself; ImageNet's habits where it says nothing."""
    library, _, name = model.partition(":")
    if library == "torchvision":
        from torchvision import models

        try:
            known = models.get_model_weights(name)["DEFAULT"].transforms()
        except (KeyError, ValueError):  # no such model (`build` says so), or one without weights of its own
            return Usual(224, 0.875, MEAN, STD)
        size = known.crop_size[0]
        return Usual(size, size / known.resize_size[0], known.mean, known.std, known.interpolation.value)
    import timm

    if not timm.is_model(name):  # `build` says which there are
        return Usual(224, 0.875, MEAN, STD)
    entry = timm.get_pretrained_cfg(name)
    return Usual(entry.input_size[1], entry.crop_pct, entry.mean, entry.std, entry.interpolation)


@cache
def imagenet_names() -> list[list[str]]:
    """The names of ImageNet-1k's classes in the order of every library's outputs: WordNet's number and its words."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    words = (info.index_to_description(place).split(", ") for place in range(IMAGENET))
    return [[each[0], info.index_to_label_name(place), *each[1:]] for place, each in enumerate(words)]
