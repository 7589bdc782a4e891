"""Images with their answers, and the views of them that a network is trained on."""

from __future__ import annotations

from zoo.data.config import DataConfig
from zoo.data.imageset import ImageSet, Splits
from zoo.data.sources import load

__all__ = ["DataConfig", "ImageSet", "Splits", "load"]
