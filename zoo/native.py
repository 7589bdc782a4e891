"""The name under which apps know libzoo's preprocessing: `zoo.native.look`. It lives in `zoo.preprocess.libzoo`."""

from __future__ import annotations

from zoo.preprocess.libzoo import look

__all__ = ["look"]
