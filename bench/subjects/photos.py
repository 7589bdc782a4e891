"""The pictures of the scope `image`: files as an app gets them, read into memory before the clock starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.data.folders import pictures
from zoo.errors import InputError


def photo_files(folder: Path) -> list[Path]:
    """Every picture below `folder`, in a fixed order. `InputError` when there is none."""
    if not folder.is_dir():
        raise InputError(f"no such folder of photos: {folder}")
    found = pictures(folder)
    if not found:
        raise InputError(f"no pictures below {folder}")
    return found


def read_photos(folder: Path) -> list[bytes]:
    """The bytes of every picture below `folder`."""
    return [path.read_bytes() for path in photo_files(folder)]


def in_batches(photos: Sequence[bytes], batch: int) -> list[list[bytes]]:
    """Batches of `batch` photos that hold each of them once; the last is filled up with the first photos."""
    count = -(-len(photos) // batch)
    return [[photos[place % len(photos)] for place in range(n * batch, (n + 1) * batch)] for n in range(count)]
