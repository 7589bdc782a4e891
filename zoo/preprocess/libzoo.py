"""libzoo from Python: where an app's build finds it, and its compiled preprocessing where it is installed.

`look` gives what `zoo.preprocess.pillow.look` gives, to the grey level, and is that function where there is no compiled
library or where the library cannot read a picture. `ZOO_LIBRARY` names another libzoo.so than the one inside this
package, `ZOO_OPS_LIBRARY` another libzoo_ops.so: the operators that onnxruntime-winograd gives to ONNX Runtime.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import cache
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

import numpy as np

from zoo.errors import EnvironmentProblem
from zoo.preprocess import pillow as images
from zoo.preprocess.pillow import Framing, Picture, Pixels

PREFIX = Path(__file__).parents[1] / "_libzoo"
ABI = 0x00010000  # ZOO_ABI_VERSION of the zoo.h that the structs below follow
_OK, _ENCODED, _RGB, _UINT8 = 0, 0, 3, 1  # ZOO_OK, ZOO_ENCODED, ZOO_RGB, ZOO_UINT8
_RUNTIMES = (
    ("ZOO_ONNXRUNTIME_LIBRARY", "onnxruntime", "capi/libonnxruntime.so.*"),
    ("ZOO_OPENVINO_LIBRARY", "openvino", "libs/libopenvino_c.so.*"),
    ("ZOO_TENSORRT_LIBRARY", "tensorrt_libs", "libnvinfer.so.*"),
)
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


def library_path() -> Path | None:
    """The compiled library: what `ZOO_LIBRARY` names, or the one inside this package; None where it was not built."""
    if named := os.environ.get("ZOO_LIBRARY"):
        return Path(named)
    return next(iter(sorted(PREFIX.glob("lib*/libzoo.so.1"))), None)


def ops_library_path() -> Path:
    """The compiled operators for ONNX Runtime; `EnvironmentProblem` where they were not built."""
    if named := os.environ.get("ZOO_OPS_LIBRARY"):
        if not Path(named).is_file():
            raise EnvironmentProblem(f"ZOO_OPS_LIBRARY names {named}, which is no file")
        return Path(named)
    found = sorted(PREFIX.glob("lib*/libzoo_ops.so"))
    if not found:
        raise EnvironmentProblem(
            f"this installation has no libzoo_ops.so; in a checkout `make native` builds it into {PREFIX}, and a wheel "
            "that is built where there is a C++ compiler brings it"
        )
    return found[0]


def runtimes() -> dict[str, str]:
    """The environment in which libzoo's plug-ins find the runtimes of this Python: variable to library."""
    found = {}
    for variable, package, pattern in _RUNTIMES:
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            for file in sorted(Path(spec.origin).parent.glob(pattern))[-1:]:
                found[variable] = str(file)
    return found


def prefix() -> Path:
    """The folder inside this package that holds `include/` and `lib/`; `EnvironmentProblem` where it was not built."""
    if not (PREFIX / "include" / "zoo" / "zoo.h").is_file():
        raise EnvironmentProblem(
            f"this installation has no compiled library; in a checkout `make native` builds it into {PREFIX}, and "
            "docs/embedding.md says what it needs and how to install it anywhere else"
        )
    return PREFIX


def cmake_dir() -> Path:
    """The folder of `zooConfig.cmake`, for `cmake -Dzoo_DIR=...`. Raises as `prefix` does."""
    return next(iter(prefix().glob("lib*/cmake/zoo")))


@cache
def _library() -> ctypes.CDLL | None:
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
    """The library's scratch memory, one for each thread."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle = ctypes.c_void_p()
        if library.zoo_framer_create(ctypes.byref(self._handle), None) != _OK:
            raise MemoryError

    def __del__(self) -> None:
        self._library.zoo_framer_free(self._handle)

    def read(self, picture: _Picture, framing: Framing) -> tuple[Pixels, tuple[int, int]] | None:
        """Pixels and the upright picture's (width, height); None where the library cannot read it."""
        pixels = np.empty((framing.height, framing.width, 3), np.uint8)
        shape = (ctypes.c_int64 * 8)(*pixels.shape)
        tensor = _Tensor(ctypes.sizeof(_Tensor), pixels.ctypes.data, pixels.nbytes, _UINT8, 3, shape)
        wanted = _Framing(ctypes.sizeof(_Framing), framing.resize, framing.height, framing.width)
        extent = _Extent(ctypes.sizeof(_Extent))
        arguments = (ctypes.byref(part) for part in (wanted, picture, tensor, extent))
        if self._library.zoo_framer_read(self._handle, *arguments, None) != _OK:
            return None
        return pixels, (extent.width, extent.height)


_local = threading.local()


def look(picture: Picture, framing: Framing) -> tuple[Pixels, tuple[int, int]]:
    """As `zoo.preprocess.pillow.look`: uint8 [height, width, 3], and the upright picture's (width, height).

    Compiled where it can be: the GIL is free meanwhile. Whatever the library does not read (other formats, PIL images,
    damaged files) goes through Pillow, whose errors are the ones that callers see.
    """
    library = _library()
    found = None if library is None else _compiled(library, picture, framing)
    return images.look(picture, framing) if found is None else found


def _compiled(library: ctypes.CDLL, picture: Picture, framing: Framing) -> tuple[Pixels, tuple[int, int]] | None:
    if isinstance(picture, str | PathLike):
        try:
            picture = Path(picture).read_bytes()
        except OSError:
            return None
    if not hasattr(_local, "framer"):
        _local.framer = _Framer(library)
    framer: _Framer = _local.framer
    if isinstance(picture, bytes):
        if not picture.startswith(_BEGINNINGS):
            return None
        address = ctypes.cast(ctypes.c_char_p(picture), ctypes.c_void_p)  # borrowed: `picture` lives until the return
        return framer.read(_Picture(ctypes.sizeof(_Picture), address, len(picture), _ENCODED), framing)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        rows = np.ascontiguousarray(picture)
        height, width = rows.shape[:2]
        given = _Picture(ctypes.sizeof(_Picture), rows.ctypes.data, rows.nbytes, _RGB, width, height, 0)
        return framer.read(given, framing)
    return None
