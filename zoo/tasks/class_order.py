"""In which order a network from elsewhere numbers its classes, where its file says no names.

Libraries number classes by the names of their folders: torchvision as text (`10` before `2`), timm by the numbers in
them and without regard to capitals (`2` before `10`; `natural_key` of timm/data/readers/reader_image_folder.py). Where
the two orders differ nothing is guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.progress import note

ClassOrder = Literal["natural", "lexical"]
ORDERS: tuple[ClassOrder, ...] = get_args(ClassOrder)
SHOWN = 4  # names that a message shows from each end of a long list


def names_of_outputs(folders: Sequence[str], labels: Path | None, order: ClassOrder | None, where: Path) -> list[str]:
    """The names of a network's outputs: those of the file `labels`, or the class folders `in_order`. `InputError` for
    both at once.
    """
    if labels is None:
        return in_order(folders, order, where)
    if order is not None:
        raise InputError("--labels says the order of the outputs already: leave --class-order out")
    return read_labels(labels)


def in_order(folders: Sequence[str], order: ClassOrder | None, where: Path) -> list[str]:
    """The names of class folders in the order of a network's outputs; a line on stderr says what it is.

    `InputError` where timm's and torchvision's orders differ and `order` is None.
    """
    natural, lexical = (sorted_as(folders, each) for each in ORDERS)
    if order is None and natural != lexical:
        place = next(place for place, pair in enumerate(zip(natural, lexical, strict=True)) if pair[0] != pair[1])
        raise InputError(
            f"{where}: output {place} of the network is '{natural[place]}' if timm numbered these folders, "
            f"'{lexical[place]}' if torchvision did: say which by --class-order natural or lexical, or give the names "
            "of the outputs in their order by --labels FILE"
        )
    found = natural if order == "natural" else lexical
    note(f"{where}: outputs are taken in this order: {shortened(found)}")
    return found


def sorted_as(names: Sequence[str], order: ClassOrder) -> list[str]:
    """The names in timm's order (`natural`) or torchvision's (`lexical`)."""
    return sorted(names, key=_natural_key) if order == "natural" else sorted(names)


def _natural_key(name: str) -> list[tuple[bool, int, str]]:
    parts = re.split(r"(\d+)", name.lower())
    return [(part.isdigit(), int(part), "") if part.isdigit() else (False, 0, part) for part in parts]


def shortened(names: Sequence[str]) -> str:
    """The names, of many of them the first and the last."""
    if len(names) <= 2 * SHOWN:
        return ", ".join(names)
    return f"{', '.join(names[:SHOWN])} ... {', '.join(names[-SHOWN:])} ({len(names)})"


def other_order_fits(found: npt.NDArray[Any], targets: npt.NDArray[Any], labels: Sequence[str]) -> str:
    """What shows that the outputs are in the other of the two orders; empty where nothing does.

    It is shown where `labels` are in one order, the network is right no more often than chance, and in the other order
    it is. `found`: the most probable classes, [N]; `targets`: numbers of `labels`, [N]. More often than chance: by more
    than three standard errors.
    """
    names, classes = list(labels), len(labels)
    chance = 1 / classes + 3 * sqrt((1 - 1 / classes) / classes / max(1, len(found)))
    right = float((found == targets).mean())
    for order in ORDERS:
        other = ORDERS[1 - ORDERS.index(order)]
        moved = sorted_as(names, other)
        if right > chance or names != sorted_as(names, order) or moved == names:
            continue
        place = np.array([moved.index(name) for name in names])
        otherwise = float((found == place[np.asarray(targets)]).mean())
        if otherwise > max(chance, 2 * right):
            return (
                f"{right:.2%} are right with the outputs in {order} order of the folders' names and {otherwise:.2%} in "
                f"{other} order: --class-order {other}"
            )
    return ""


def read_labels(path: Path) -> list[str]:
    """The names of a JSON list, in output order. `InputError` when it is none."""
    try:
        labels: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such file of labels: {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as labels: {error}") from None
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f'{path} must be a list of names, ["first", "second", ...]')
    return labels
