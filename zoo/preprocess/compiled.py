"""Preprocessing by libzoo, without the GIL: the pixels of `zoo.preprocess.pillow`, to at most one grey level."""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from os import PathLike
from pathlib import Path

import numpy as np

from zoo.errors import EnvironmentProblem
from zoo.preprocess.libzoo import library_path
from zoo.preprocess.preprocessing import Picture, Pixels, Preprocessing

ABI = 0x00010000  # ZOO_ABI_VERSION of the zoo.h that the structs below follow
_OK, _ENCODED, _RGB, _UINT8 = 0, 0, 3, 1  # ZOO_OK, ZOO_ENCODED, ZOO_RGB, ZOO_UINT8
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # what it decodes: JPEG and PNG


class _Framing(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("resize", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("width", ctypes.c_uint32),
    ]


class _Picture(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("encoding", ctypes.c_int32),
        ("width", ctypes.c_uint32),
        ("height", ctypes.c_uint32),
        ("stride", ctypes.c_int64),
    ]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("struct_size", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_uint32),
        ("shape", ctypes.c_int64 * 8),
        ("stride", ctypes.c_int64 * 8),
    ]


class _Extent(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("width", ctypes.c_uint32), ("height", ctypes.c_uint32)]


@cache
def library() -> ctypes.CDLL | None:
    """The loaded library, None where there is none. `EnvironmentProblem` for one that `ZOO_LIBRARY` names and that
    cannot be loaded, and for a version that this package does not know.
    """
    path = library_path()
    if path is None:
        return None
    try:
        library = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL | os.RTLD_NOW)
        version = library.zoo_abi_version()
    except (OSError, AttributeError) as error:
        if not os.environ.get("ZOO_LIBRARY"):
            return None  # it came with a wheel from a machine with other system libraries: Pillow does its work
        raise EnvironmentProblem(f"cannot load {path}: {error}") from None
    if version >> 16 != ABI >> 16 or version < ABI:
        raise EnvironmentProblem(f"{path} has ABI version {version:#x}; this package needs {ABI:#x} or later")
    library.zoo_framer_create.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p]
    library.zoo_framer_free.argtypes = [ctypes.c_void_p]
    library.zoo_framer_free.restype = None
    pointers = [ctypes.POINTER(kind) for kind in (_Framing, _Picture, _Tensor, _Extent)]
    library.zoo_framer_read.argtypes = [ctypes.c_void_p, *pointers, ctypes.c_void_p]
    return library


class _Framer:
    """libzoo's `zoo_framer`: its scratch memory, of which each thread has its own."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        if library.zoo_framer_create(ctypes.byref(self._handle), None) != _OK:
            raise MemoryError

    def __del__(self) -> None:
        self._library.zoo_framer_free(self._handle)

    def read(self, picture: _Picture, preprocessing: Preprocessing) -> tuple[Pixels, tuple[int, int]] | None:
        """Pixels and the upright picture's (width, height); None where the library cannot read it."""
        pixels = np.empty((preprocessing.height, preprocessing.width, 3), np.uint8)
        shape = (ctypes.c_int64 * 8)(*pixels.shape)
        tensor = _Tensor(ctypes.sizeof(_Tensor), pixels.ctypes.data, pixels.nbytes, _UINT8, 3, shape)
        wanted = _Framing(ctypes.sizeof(_Framing), preprocessing.resize, preprocessing.height, preprocessing.width)
        extent = _Extent(ctypes.sizeof(_Extent))
        arguments = (ctypes.byref(part) for part in (wanted, picture, tensor, extent))
        if self._library.zoo_framer_read(self._handle, *arguments, None) != _OK:
            return None
        return pixels, (extent.width, extent.height)


_local = threading.local()


def preprocess(picture: Picture, preprocessing: Preprocessing) -> tuple[Pixels, tuple[int, int]] | None:
    """As `zoo.preprocess.preprocess`; None where there is no library, and for what it does not read: formats other
    than JPEG and PNG, PIL images, damaged and missing files.
    """
    found = library()
    if found is None:
        return None
    if isinstance(picture, str | PathLike):
        try:
            with Path(picture).open("rb") as file:
                start = file.read(8)
                picture = start + file.read() if start.startswith(_BEGINNINGS) else start
        except OSError:
            return None
    if not hasattr(_local, "framer"):
        _local.framer = _Framer(found)
    framer: _Framer = _local.framer
    if isinstance(picture, bytes):
        if not picture.startswith(_BEGINNINGS):
            return None
        address = ctypes.cast(ctypes.c_char_p(picture), ctypes.c_void_p)  # borrowed: `picture` lives until the return
        return framer.read(_Picture(ctypes.sizeof(_Picture), address, len(picture), _ENCODED), preprocessing)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        rows = np.ascontiguousarray(picture)
        height, width = rows.shape[:2]
        given = _Picture(ctypes.sizeof(_Picture), rows.ctypes.data, rows.nbytes, _RGB, width, height, 0)
        return framer.read(given, preprocessing)
    return None
