"""Where the files of libzoo are: the library, its operators for ONNX Runtime, and what an app's build needs.

`ZOO_LIBRARY` names another libzoo.so than the one inside this package, `ZOO_OPS_LIBRARY` another libzoo_ops.so: the
operators that the backend onnxruntime-winograd gives to ONNX Runtime.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from zoo.errors import EnvironmentProblem

PREFIX = Path(__file__).parents[1] / "_libzoo"
_RUNTIMES = (
    ("ZOO_ONNXRUNTIME_LIBRARY", "onnxruntime", "capi/libonnxruntime.so.*"),
    ("ZOO_OPENVINO_LIBRARY", "openvino", "libs/libopenvino_c.so.*"),
    ("ZOO_TENSORRT_LIBRARY", "tensorrt_libs", "libnvinfer.so.*"),
)


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
