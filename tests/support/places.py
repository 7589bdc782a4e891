"""Where things lie: the root of the repository, and the archives of real pictures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def real_data(name: str) -> Path:
    """The archive NAME.tar or NAME.tar.xz of ZOO_DATA; the test is skipped where there is none."""
    folder = Path(os.environ.get("ZOO_DATA", "/nonexistent"))
    for archive in (folder / f"{name}.tar.xz", folder / f"{name}.tar"):
        if archive.is_file():
            return archive
    pytest.skip(f"ZOO_DATA does not name a folder with {name}.tar.xz or .tar")
