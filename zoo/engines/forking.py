"""What a fork does to engines: the child opens its own, and never destroys its copy of the parent's.

A library's threads stay in the parent. In the child a call may wait for them for ever, and so may the end of the
process: ONNX Runtime's and OpenVINO's destructors wait until their threads are gone. So the child's copies are kept
alive until the operating system takes the memory back.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something that refers to a library's threads."""

    def after_fork(self) -> None:
        """Called in the child, before anything else runs there."""
        ...


_child = False
_watched: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(one: Forked) -> None:
    """From now on `one.after_fork` is called in every forked child, for as long as Python remembers `one`."""
    _watched.add(one)


def keep_for_ever(what: object) -> None:
    """Python will never destroy this object, at the end of the process neither."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(what))


def in_forked_child() -> bool:
    """Whether this process was forked from one that had imported this file."""
    return _child


def _in_the_child() -> None:
    global _child  # a fact of the process, as the number of it is
    _child = True
    for one in list(_watched):
        one.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_the_child)
