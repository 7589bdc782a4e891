"""The images to be labelled: their names, and each as a small JPEG."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from zoo.data.folders import pictures
from zoo.errors import InputError
from zoo.preprocess import Preprocessing, preprocess, upright_size


def find(root: Path) -> list[str]:
    """The images below a folder, by their names relative to it. `InputError` where there are none."""
    names = [path.relative_to(root).as_posix() for path in pictures(root)] if root.is_dir() else []
    if not names:
        raise InputError(f"no images below {root}")
    if odd := next((name for name in names if not _is_text(name)), None):
        raise InputError(f"{root}: the name {odd!r} is not UTF-8; rename that file")
    return names


def _is_text(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def reduced(path: Path, *, side: int, quality: int) -> bytes:
    """The picture upright, as a JPEG of `quality` (1 to 95) without metadata, whose longest side is at most `side`
    pixels. It is never enlarged.

    Raises `InputError`, which names the file, when it cannot be read.
    """
    width, height = upright_size(path)
    scale = min(1.0, side / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    pixels, _ = preprocess(path, Preprocessing(min(width, height), height, width))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file.getvalue()
