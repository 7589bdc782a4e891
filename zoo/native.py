"""The name under which apps know preprocessing by libzoo: `zoo.native.look` is `zoo.preprocess.preprocess`."""

from __future__ import annotations

from zoo.preprocess import Preprocessing
from zoo.preprocess import preprocess as look

__all__ = ["Preprocessing", "look"]
