"""A step that is tried before a training begins: what a network cannot do is said before anything is written."""

from __future__ import annotations

import torch
from torch import nn

from zoo.errors import InputError, first_line
from zoo.learn.recipe.schema import Training
from zoo.learn.train.schedule import WeightSchedule
from zoo.models.outputs import NoTensor, has_auxiliary_heads, outputs_of


def try_step(network: nn.Module, model: str, size: int, settings: Training | None, key: str, processes: int) -> None:
    """Run `network`, built for two classes and perhaps without numbers (`zoo.models.construct.shadow`), as it will run
    in the last epoch of its training, or in eval mode where `settings` is None.

    `key`: where a recipe has the settings, `train` for example. `InputError` names the key to change.
    """
    images = 2
    network.eval()
    if settings is not None:
        if settings.batch < processes:
            raise InputError(f"{key}.batch = {settings.batch} is too few for {processes} processes: one image for each")
        WeightSchedule(network, settings).begin_epoch(settings.epochs - 1)
        images = min(settings.batch // processes, 2)
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            main = outputs_of(network(torch.zeros(images, 3, size, size, device=device))).main
    except NoTensor as error:
        raise InputError(f"{model} answers with {error}, and float [N, outputs] is needed") from None
    except (RuntimeError, ValueError, AssertionError) as error:  # each library has its own for what it cannot take
        if settings is not None and images == 1 and "more than 1 value per channel" in str(error):
            each = f" in {processes} processes" if processes > 1 else ""
            raise InputError(
                f"{key}.batch = {settings.batch}{each}: {model} normalises by the statistics of a batch, and of one "
                f"image some layer sees one value in each channel: set {key}.batch to {2 * processes} or more"
            ) from None
        knob = "set the knob aux_logits to false" if has_auxiliary_heads(network) else "change a knob of the network"
        raise InputError(
            f"{model} cannot take pictures of {size} x {size} pixels: {first_line(error)}: change data.size, or {knob}"
        ) from None
    if main.ndim != 2 or main.shape[1] != 2:
        raise InputError(f"{model} answers with {list(main.shape)} for 2 classes, and [N, 2] is needed")
