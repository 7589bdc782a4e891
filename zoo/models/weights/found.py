"""Which tensors of a file are the weights of a network: in one of its dictionaries, under one of its prefixes."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.errors import InputError
from zoo.models.weights.key_order import COUNTER, under_own_names
from zoo.models.weights.read import Opaque
from zoo.progress import note

# Put into names by torch.compile, FSDP and activation checkpointing, anywhere in a name. DataParallel's `module` is
# not among them: a network may have a part of that name.
WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
COUNTED = ("total_ops", "total_params")  # left in modules by counters of operations
AVERAGED = ("ema", "average", "averaged", "avg", "swa", "shadow")
LEAST = 0.5  # of a network's tensors have to be there by name: a part of another network shares less
Path = tuple[str, ...]


@dataclass(frozen=True)
class Held:
    """A tensor of a file: the keys that lead to its dictionary or list, and its name there."""

    within: Path
    name: str
    tensor: Tensor
    listed: bool  # in a list, where its name is its place

    @property
    def full(self) -> str:
        """All keys and the name, with points between them."""
        return ".".join((*self.within, self.name))


def weights_in(content: Any, own: Mapping[str, Tensor], origin: str, wanted: str = "") -> dict[str, Tensor]:
    """The weights in the `content` of a file (`read_file`) for a network with the state dict `own`, under its names as
    far as these are known.

    They may lie in dictionaries in dictionaries, in a pickled module or a list, and their names may have a prefix.
    Where a file holds several copies, the moving average is taken. What was taken is said, unless it is the whole file
    under the network's own names. `wanted`: the name of the copy to take, in the place of that choice. `InputError`
    says what is in the file, where it holds no weights of this network or copies that cannot be told apart.
    """
    held = list(_tensors(content, ()))
    if strange := next((one for one in held if one.tensor.is_quantized or one.tensor.layout != torch.strided), None):
        raise InputError(f"{origin}: '{strange.full}' is quantised or sparse: weights have to be plain numbers")
    if wanted:
        held = [one for one in held if f"{one.full}.".startswith(f"{wanted}.")]
    copies = _copies(held, own)
    if copies:
        prefix = _chosen(copies, origin)
        _say(prefix, copies, origin)
        return copies[prefix]
    by_order = _by_order(held, own, origin)
    if by_order is not None:
        return by_order
    raise InputError(
        f"{origin} does not fit: it is not this network by names or by order, of {len(own)} tensors; it holds "
        f"{described(content)}"
    )


def _tensors(content: Any, within: Path) -> Iterator[Held]:
    if isinstance(content, Opaque):
        content = content.state_dict() if content.is_module else content.state
    listed = isinstance(content, list | tuple)
    if not listed and not isinstance(content, Mapping):
        return
    for key, value in _entries(content):
        if isinstance(value, Tensor):
            name = WRAPPERS.sub("", key)
            if name.rpartition(".")[2] not in COUNTED:
                yield Held(within, name, value.detach(), listed)
        else:
            yield from _tensors(value, (*within, key))


def _copies(held: Sequence[Held], own: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The copies of the network, by the prefix of their tensors: those with the most of its names, if that is enough.

    A copy has all tensors of each dictionary in which one of its names was found, so that what does not fit is seen.
    """
    hits: Counter[str] = Counter()
    places: dict[str, set[Path]] = defaultdict(set)
    needed = [key for key in own if not key.endswith(COUNTER)]
    for one in held:
        full = one.full
        for start in (0, *(match.end() for match in re.finditer(r"\.", full))):
            if full[start:] in own and not full.endswith(COUNTER):
                hits[full[:start]] += 1
                places[full[:start]].add(one.within)
    most = max(hits.values(), default=0)
    if most < max(1, LEAST * len(needed)):
        return {}
    return {
        prefix: {
            one.full.removeprefix(prefix): one.tensor
            for one in held
            if one.full.startswith(prefix) and one.within in places[prefix]
        }
        for prefix, count in hits.items()
        if count == most
    }


def _chosen(copies: Mapping[str, Mapping[str, Tensor]], origin: str) -> str:
    """The prefix of the copy to take: the only one, or the only moving average."""
    averages = [prefix for prefix in copies if is_average(prefix)]
    choice = averages or list(copies)
    first = copies[choice[0]]
    if all(_equal(first, copies[prefix]) for prefix in choice[1:]):
        return choice[0]
    names = ", ".join(f"'{prefix.rstrip('.')}'" for prefix in choice)
    raise InputError(f"{origin} holds {len(choice)} copies of the network, {names}: name one, as FILE#NAME")


def is_average(prefix: str) -> bool:
    """Whether the keys in front of a name say that it is of a moving average of the weights."""
    return any(word in AVERAGED for word in re.split(r"[._]", prefix.lower()))


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def _say(prefix: str, copies: Collection[str], origin: str) -> None:
    if not prefix:
        return
    others = [f"'{other.rstrip('.')}'" for other in copies if other != prefix]
    average = ", a moving average" if is_average(prefix) else ""
    beside = f", not {', '.join(others)}" if others else ""
    note(f"{origin}: the weights are its '{prefix.rstrip('.')}'{average}{beside}")


def _by_order(held: Sequence[Held], own: Mapping[str, Tensor], origin: str) -> dict[str, Tensor] | None:
    """Tensors without names that are known, if they fit in their order; else those of the only dictionary there is."""
    groups: dict[tuple[Path, bool], dict[str, Tensor]] = defaultdict(dict)
    for one in held:
        groups[one.within, one.listed][one.name] = one.tensor
    for (within, listed), group in groups.items():
        if listed and (named := _listed(list(group.values()), own)) is not None:
            note(f"{origin}: tensors without names, taken in the order of the network's own")
            return named
        if not listed and under_own_names(group, own).keys() == own.keys():
            _say(".".join(within), (), origin)
            return group
    (_, listed), group = next(iter(groups.items()), (((), True), {}))
    return None if listed or len(groups) > 1 else group


def _listed(tensors: Sequence[Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """A plain list in the order of the state dict, with or without BatchNorm's counters. None if it does not fit."""
    without = [key for key in own if not key.endswith(COUNTER)]
    for names in (list(own), without):
        if [own[name].shape for name in names] == [tensor.shape for tensor in tensors]:
            return {**own, **dict(zip(names, tensors, strict=True))}
    return None


def described(content: Any) -> str:
    """What is in a file, in a few words."""
    if isinstance(content, Tensor):
        return f"one tensor {list(content.shape)}"
    if isinstance(content, Opaque):
        return f"an object of {content.named}"
    if isinstance(content, list | tuple) and content and all(isinstance(entry, Tensor) for entry in content):
        return f"a list of {len(content)} tensors"
    if isinstance(content, Mapping | list | tuple):
        tensors = [(name, value) for name, value in _entries(content) if isinstance(value, Tensor)]
        others = [f"{name}: {_short(value)}" for name, value in _entries(content) if not isinstance(value, Tensor)]
        shown = [f"{len(tensors)} tensors such as '{tensors[0][0]}' {list(tensors[0][1].shape)}"] if tensors else []
        words = [*shown, *others[:8], *(["..."] if others[8:] else [])]
        return ", ".join(words) or "nothing"
    return _short(content)


def _entries(content: Any) -> list[tuple[str, Any]]:
    pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
    return [(str(key), value) for key, value in pairs]


def _short(value: Any) -> str:
    if isinstance(value, Opaque):
        return value.named
    if isinstance(value, Mapping | list | tuple):
        tensors = list(_tensors(value, ()))
        if not tensors:
            return f"{type(value).__name__} of {len(value)}"
        return f"{len(tensors)} tensors such as '{tensors[0].full}' {list(tensors[0].tensor.shape)}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
