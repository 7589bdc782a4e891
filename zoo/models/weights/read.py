"""What is in a file of weights: its tensors and plain values. Nothing in the file is run."""

from __future__ import annotations

import pickle
import pickletools
import re
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from zoo.errors import InputError, first_line

FILLED = re.compile(r"Can only (SETITEMS?|append|extend) .*but got <class '(.+)'>")
LEGACY_PICKLES = 5  # before the numbers of a file that is no zip archive: magic, protocol, system, content, storages


class Opaque:
    """An object of a class that is not imported: `named`, and its attributes as plain values and tensors."""

    named = ""
    state: Mapping[str, Any]

    def __new__(cls, *_values: Any, **_named: Any) -> Any:
        """An object without state, whatever its class would have been given."""
        made = object.__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_values: Any, **_named: Any) -> None:
        """Nothing: the class is not known."""

    def __setstate__(self, state: Any) -> None:
        """Keep the attributes."""
        self.state = state if isinstance(state, Mapping) else {}

    @property
    def is_module(self) -> bool:
        """Whether it was a torch module."""
        return "_parameters" in self.state and "_modules" in self.state

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors of what was a torch module, as its own `state_dict()` would give them."""
        return dict(self._tensors(""))

    def _tensors(self, prefix: str) -> Iterator[tuple[str, Tensor]]:
        passing = self.state.get("_non_persistent_buffers_set") or ()
        for kind in ("_parameters", "_buffers"):
            for name, tensor in (self.state.get(kind) or {}).items():
                if isinstance(tensor, Tensor) and name not in passing:
                    yield f"{prefix}{name}", tensor
        for name, inner in (self.state.get("_modules") or {}).items():
            if isinstance(inner, Opaque):
                yield from inner._tensors(f"{prefix}{name}.")


class _Table:
    """Stands for a class that is a dictionary: what is read is a plain one."""

    def __new__(cls, *_values: Any, **_named: Any) -> Any:
        return OrderedDict()


class _Row:
    """Stands for a class that is a list: what is read is a plain one."""

    def __new__(cls, *_values: Any, **_named: Any) -> Any:
        return []


def read_file(path: Path) -> Any:
    """The content of a safetensors file or of what `torch.save` wrote, on the CPU: tensors, plain values, dictionaries
    and lists of them, and an `Opaque` for each object of any other class. `InputError` where the file is neither.
    """
    if not path.is_file():
        raise InputError(f"no such weights file: {path}")
    try:
        if _is_safetensors(path):
            return load_file(path)
        return _read_torch(path)
    except InputError:
        raise
    except Exception as error:  # safetensors, zip and the restricted unpickler each raise their own
        raise InputError(f"{path} cannot be read as weights: {_reason(error)}") from None


def _is_safetensors(path: Path) -> bool:
    """By content: the length of a JSON header, then the header."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{" or (path.suffix == ".safetensors" and not zipfile.is_zipfile(path))


def _read_torch(path: Path) -> Any:
    kinds: dict[str, type] = dict.fromkeys(sorted(set(_classes(path))), Opaque)
    while True:
        strangers: list[Any] = [(_stranger(name, kind), name) for name, kind in kinds.items()]
        try:
            # torch's own restricted unpickler; what it does not know becomes a class of ours that does nothing
            with torch.serialization.safe_globals(strangers):
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # Only when entries are put into it is it seen that a class is a dictionary or a list.
            if "persistent_load" in str(error):
                raise InputError(
                    f"{path} holds a whole module in torch's old format, which says how to run it and not what is in "
                    "it: save the module's state_dict() instead"
                ) from None
            filled = FILLED.search(str(error))
            if filled is None or kinds.get(filled[2]) is not Opaque:
                raise
            kinds[filled[2]] = _Table if filled[1].startswith("SETITEM") else _Row


def _classes(path: Path) -> Iterator[str]:
    """The full names of all classes and functions that the pickles in the file name."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            try:
                for _ in range(LEGACY_PICKLES):
                    yield from _classes_of(file)
            except ValueError:
                raise InputError(
                    f"{path} holds no weights: it is neither safetensors nor what torch.save writes"
                ) from None
        return
    with zipfile.ZipFile(path) as archive:
        inner = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in inner):
            raise InputError(f"{path} is a TorchScript archive: save the state_dict() of its module instead")
        pickles = [name for name in inner if name.endswith("/data.pkl") or name == "data.pkl"]
        if not pickles:
            raise InputError(f"{path} is a zip archive that torch.save did not write: it holds {', '.join(inner[:4])}")
        with archive.open(pickles[0]) as file:
            yield from _classes_of(file)


def _classes_of(file: IO[bytes]) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
            yield f"{module}.{name}"


def _reason(error: Exception) -> str:
    """What went wrong, in one line. torch's unpickler first advises to switch its restrictions off."""
    if not isinstance(error, pickle.UnpicklingError):
        return first_line(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Check the documentation")]
    return said[-1] if said else type(error).__name__


def _stranger(name: str, kind: type) -> type:
    """What stands for a class or function of that full name."""
    module, _, last = name.rpartition(".")
    return type(last, (kind,), {"named": name, "__module__": module})
