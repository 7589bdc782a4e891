"""Which backends there are, by name: a line for each of ours, and those that other installed packages add.

A name costs nothing; `backend_class` imports the backend's module, and its constructor imports the library. Every
table of backends, in messages, `zoo bench` and `zoo tune`, is made from these classes.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from zoo import plugins
from zoo.errors import EnvironmentProblem, InputError, nearest

if TYPE_CHECKING:
    from zoo.engines.backend import Backend

GROUP = "distilzoo.backends"  # the entry points of other packages
BACKENDS = {
    "onnxruntime": "zoo.engines.onnxruntime.backend:OnnxRuntime",
    "openvino": "zoo.engines.openvino:OpenVino",
    "tensorrt": "zoo.engines.tensorrt.backend:TensorRt",
    "aotinductor": "zoo.engines.torch.aotinductor:AotInductor",
    "aotinductor-fused": "zoo.engines.torch.aotinductor:AotInductorFused",
    "onnxruntime-winograd": "zoo.engines.onnxruntime.winograd:OnnxRuntimeWinograd",
}


def names() -> tuple[str, ...]:
    """Every backend's name: ours first, then those of other packages."""
    return (*BACKENDS, *(name for name in plugins.found(GROUP) if name not in BACKENDS))


def backend_class(name: str) -> type[Backend]:
    """The class of a backend. `InputError` for an unknown name; `EnvironmentProblem` for one of another package that
    cannot be imported or is no backend.
    """
    if name in BACKENDS:
        module, _, attribute = BACKENDS[name].partition(":")
        return _checked(name, getattr(importlib.import_module(module), attribute))
    if name in (others := plugins.found(GROUP)):
        return _checked(name, plugins.load(others[name]))
    raise InputError(f"no backend called '{name}'; there are: {', '.join(names())}{nearest(name, names())}")


def _checked(name: str, kind: Any) -> type[Backend]:
    from zoo.engines.backend import Backend

    if not (isinstance(kind, type) and Backend in kind.__mro__):
        raise EnvironmentProblem(f"the backend '{name}' is {kind!r}, and no subclass of zoo.engines.backend.Backend")
    found: type[Backend] = kind
    if found.name != name:
        raise EnvironmentProblem(f"the backend '{name}' calls itself '{found.name}': the two names have to agree")
    return found


def classes() -> dict[str, type[Backend]]:
    """Every backend's class, by name."""
    return {name: backend_class(name) for name in names()}


def runtimes() -> tuple[str, ...]:
    """The backends that run any graph as it is."""
    return tuple(name for name, kind in classes().items() if kind.builder is None)


def built() -> tuple[str, ...]:
    """The backends that run what `zoo build` has made of a graph, for one kind of machine."""
    return tuple(name for name, kind in classes().items() if kind.builder is not None)


def installed(name: str) -> bool:
    """Whether the library of a backend is installed; it is not imported."""
    return importlib.util.find_spec(backend_class(name).library) is not None
