"""How `--teacher` and `--peer` name networks: checkpoints of ours, a library's models, ONNX files from elsewhere."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from bench.cases import HUB, ONNX
from zoo.errors import InputError, missing_package, nearest
from zoo.models.weights.packages import PACKAGE, package_file

RUN = "run"
LIBRARIES = ("timm", "torchvision")
WAYS = "run:DIR, timm:NAME, timm:NAME=WEIGHTS, torchvision:NAME, torchvision:NAME=WEIGHTS, onnx:FILE"


@dataclass(frozen=True)
class Named:
    """A network: what the table calls it, and what a case calls its `subject` and `foreign`."""

    name: str
    subject: Path
    foreign: str | None = None


def named(text: str, option: str) -> Named:
    """`run:DIR`, `timm:NAME[=WEIGHTS]`, `torchvision:NAME[=WEIGHTS]` or `onnx:FILE[#OUTPUT]`.

    Without WEIGHTS a library's own are taken, which it may have to download. WEIGHTS is a file, or `package` for those
    of an installed package. `InputError` says what is not there;
    `option` is how the user wrote it down.
    """
    kind, colon, rest = text.partition(":")
    if not colon or not rest or kind not in (RUN, ONNX, *LIBRARIES):
        raise InputError(f"{option}: write one of {WAYS}{nearest(kind, (RUN, ONNX, *LIBRARIES)) if colon else ''}")
    if kind == RUN:
        return checkpoint(rest)
    if kind == ONNX:
        file = Path(rest if Path(rest).is_file() else rest.partition("#")[0])
        if not file.is_file():
            raise InputError(f"no such ONNX file: {file}")
        return Named(file.stem, Path(rest), ONNX)
    model, equals, weights = rest.partition("=")
    if importlib.util.find_spec(kind) is None:
        raise missing_package(kind, "train", option)
    if weights == PACKAGE:
        package_file(f"{kind}:{model}")
    elif equals and not Path(weights).is_file():
        raise InputError(f"{option}: no such weights file: {weights}")
    return Named(model, Path(weights) if equals else Path(HUB), f"{kind}:{model}")


def checkpoint(path: str) -> Named:
    """The folder that a training wrote, or the file in it."""
    place = Path(path)
    if not place.exists():
        raise InputError(f"no such checkpoint: {path}")
    return Named(place.parent.name if place.is_file() else place.resolve().name, place)


def beside(text: str, folder: Path) -> str:
    """The same teacher or peer with its path, if it names one, taken from `folder`."""
    head, equals, rest = text.partition("=")
    kind, colon, _ = head.partition(":")
    if colon and kind in (RUN, ONNX):  # a path may hold an equals sign
        return f"{kind}:{folder / text.partition(':')[2]}"
    if equals and rest == PACKAGE:
        return text
    if equals and (colon or ":" not in rest):
        return f"{head}={folder / rest}"
    return f"{head}={beside(rest, folder)}" if equals else text
