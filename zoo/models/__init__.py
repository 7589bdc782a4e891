"""The students' architectures: plain `nn.Module`s that know nothing of data, teachers or files."""

from __future__ import annotations

from zoo.models.registry import STUDENTS, build

__all__ = ["STUDENTS", "build"]
