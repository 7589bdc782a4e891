"""Old datasets: pickled pairs (X, y), gzip-compressed or not, read without running anything that is in them.

A pickle is a program. This reader admits the few instructions that build numbers, strings, bytes, tuples, lists, dicts
and numpy arrays, refuses any other by name before the first one is run, and puts arrays together from their bytes
itself, so that not even numpy's own unpickling is reached.
https://docs.python.org/3/library/pickle.html#restricting-globals
"""

from __future__ import annotations

import gzip
import io
import math
import pickle
import pickletools
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError

GIB = 2**30
IMAGES, LABELS = ("X", "x", "images", "data"), ("y", "Y", "labels", "targets")  # what the two are called in a dict
DATA = re.compile(  # the instructions that build data
    "PROTO|FRAME|STOP|MARK|POP|POP_MARK|NONE|NEWTRUE|NEWFALSE|INT|BININT[12]?|LONG[14]?|FLOAT|BINFLOAT"
    "|STRING|(SHORT_)?BINSTRING|UNICODE|(SHORT_)?BINUNICODE|BINUNICODE8|(SHORT_)?BINBYTES|BINBYTES8|BYTEARRAY8"
    "|EMPTY_TUPLE|TUPLE[123]?|EMPTY_LIST|LIST|APPENDS?|EMPTY_DICT|DICT|SETITEMS?|MEMOIZE|(BIN|LONG_BIN)?(PUT|GET)"
    "|GLOBAL|STACK_GLOBAL|REDUCE|BUILD"  # names and calls, of stand-ins alone
)
OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
PUTS, GETS = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}, {"GET", "BINGET", "LONG_BINGET"}
_OPEN = object()
PLAIN = (int, float, complex, str, bytes, np.generic)


def read_legacy_pairs(path: Path, *, limit: int = 4 * GIB) -> tuple[Any, Any]:
    """X and y of a pickle of any protocol, Python 2's included: numpy arrays, numbers, strings, bytes, tuples, lists,
    dicts. The two are a pair, or stand in a dict under a name of `IMAGES` and one of `LABELS`.

    Raises `InputError` that names what else is in it, and for one that unpacks to more than `limit` bytes.
    """
    data = _unpacked(path, limit)
    try:
        for module, name in _mentioned(data):
            _stand_in(module, name)
        pair = _plain(_Reader(io.BytesIO(data), encoding="latin1").load(), {})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deeply") from None
    except Exception as error:  # a damaged pickle fails in a dozen ways, all meaning the same
        raise InputError(f"{path} is not a pickle, or a damaged one: {' '.join(str(error).split())}") from None
    if isinstance(pair, dict):
        return _of_dict(path, pair)
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        raise InputError(f"{path} does not hold a pair (X, y)")
    return pair[0], pair[1]


def _of_dict(path: Path, found: dict[Any, Any]) -> tuple[Any, Any]:
    """The two entries of a dict that are called like images and labels, the names of Python 2 (bytes) included."""
    named = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in found.items()}
    images, labels = ([name for name in known if name in named] for known in (IMAGES, LABELS))
    if len(images) != 1 or len(labels) != 1:
        keys = ", ".join(map(str, named))
        raise InputError(
            f"{path} holds a dict with {keys}: one of {', '.join(IMAGES)} and one of {', '.join(LABELS)} are read"
        )
    return named[images[0]], named[labels[0]]


def _unpacked(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            data = gzip.GzipFile(fileobj=file).read(limit + 1) if packed else file.read(limit + 1)
    except FileNotFoundError:
        raise InputError(f"no such file: {path}") from None
    except (EOFError, zlib.error, OSError) as error:
        raise InputError(f"cannot read {path}: {error}") from None
    if len(data) > limit:
        raise InputError(f"{path} unpacks to more than {limit / GIB:.3g} GiB, which is the limit")
    return data


def _mentioned(data: bytes) -> Iterator[tuple[str, str]]:
    """The (module, name) pairs that a pickle mentions. `InputError` at an instruction that does not build data."""
    pushed: list[Any] = [None, None]  # the last two values, where they are strings
    memo: dict[Any, Any] = {}
    for number, (name, argument, position) in enumerate(_instructions(data)):
        if name in {"GLOBAL", "INST"}:
            module, _, attribute = argument.partition(" ")
            yield module, attribute
        elif name == "STACK_GLOBAL":
            if None in pushed:
                raise InputError(f"refused: {name} at byte {position} hides which name it wants to use")
            yield pushed[0], pushed[1]
        if not DATA.fullmatch(name):
            raise InputError(f"{name} at byte {position} builds something that is no array, number, text or list")
        if name in PUTS:
            index = len(memo) if argument is None else argument
            if index > number:  # the unpickler would make room for all indices below
                raise InputError(f"{name} at byte {position} is damaged")
            memo[index] = pushed[1]
        elif name not in {"PROTO", "FRAME"}:
            value = memo.get(argument) if name in GETS else argument
            pushed = [pushed[1], value if isinstance(value, str) else None]


def _instructions(data: bytes) -> Iterator[tuple[str, Any, int]]:
    """Name, argument and position of each, as `pickletools.genops` has them, which cannot read Python 2's strings."""
    stream = io.BytesIO(data)
    name = ""
    while name != "STOP":
        position = stream.tell()
        opcode = OPCODES.get(stream.read(1))
        if opcode is None:
            raise ValueError(f"there is no instruction at byte {position}")
        name = opcode.name
        argument = None
        if name == "STRING":
            stream.readline()
        elif opcode.arg is not None:
            argument = opcode.arg.reader(stream)
        yield name, argument, position


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _stand_in(module, name)

    def persistent_load(self, identifier: Any) -> Any:
        raise InputError(f"it refers to something outside itself: {identifier!r}")


class _Type:
    """Stands for numpy.dtype: plain numbers and text only."""

    def __init__(self, text: str, *_: object) -> None:
        if not re.fullmatch(r"[<>|=]?[biufcSU]\d+", text):
            raise InputError(f"it holds an array of type {text!r}; numbers and text are read, objects are not")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *structure = state[:5]
        if structure != [None, None, None]:
            raise InputError("it holds an array of records; numbers and text are read")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for numpy.ndarray until its bytes are known."""

    value: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        shape, kind, fortran, raw = state[-4:]
        self.value = _from_bytes(raw, kind, shape, "F" if fortran else "C")


def _from_bytes(raw: bytes | bytearray | str, kind: _Type, shape: tuple[int, ...], order: Any) -> np.ndarray:
    buffer = raw.encode("latin1") if isinstance(raw, str) else raw
    if math.prod(shape) * kind.dtype.itemsize != len(buffer):
        raise ValueError(f"{len(buffer)} bytes do not make an array of {shape}")
    return np.array(np.frombuffer(buffer, kind.dtype).reshape(shape, order=order), kind.dtype.newbyteorder("="))


def _reconstruct(kind: type[_Array], *_: object) -> _Array:
    return kind()


def _frombuffer(raw: bytes | bytearray, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.value = _from_bytes(raw, kind, shape, order)
    return array


def _scalar(kind: _Type, raw: bytes | str) -> Any:
    return _from_bytes(raw, kind, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"bytes in {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


STAND_INS: dict[str, Any] = {
    "numpy.dtype": _Type,
    "numpy.ndarray": _Array,
    "_codecs.encode": _encode,  # bytes, from Python 3 for protocols 0 to 2
    "codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,  # and the empty ones
    "builtins.bytes": _no_bytes,
}
for _core in ("numpy.core", "numpy._core"):  # until and since numpy 2
    STAND_INS[f"{_core}.multiarray._reconstruct"] = _reconstruct
    STAND_INS[f"{_core}.multiarray.scalar"] = _scalar
    STAND_INS[f"{_core}.numeric._frombuffer"] = _frombuffer  # protocol 5


def _stand_in(module: str, name: str) -> Any:
    """What a name in a pickle means here: never the thing itself."""
    found = STAND_INS.get(f"{module}.{name}")
    if found is None:
        raise InputError(f"refused: it wants to use {f'{module}.{name}'!r}, which is not data")
    return found


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """The same with arrays in the place of stand-ins; `done`: what became of each list and tuple, by identity."""
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if isinstance(value, PLAIN):
        return value
    if not isinstance(value, tuple | list | dict):
        raise InputError(
            f"it holds a {type(value).__name__.strip('_')}; arrays, numbers, texts, tuples, lists and dicts are read"
        )
    if id(value) not in done:
        done[id(value)] = _OPEN
        if isinstance(value, dict):
            done[id(value)] = {key: _plain(part, done) for key, part in value.items() if isinstance(key, PLAIN)}
        else:
            parts = [_plain(part, done) for part in value]
            done[id(value)] = tuple(parts) if isinstance(value, tuple) else parts
    if done[id(value)] is _OPEN:
        raise InputError("it holds a list that holds itself")
    return done[id(value)]
