"""Which pictures lie below a folder. Training, labelling, evaluation, calibration and the bench all ask here.

- Pictures count at any depth, in the order of their paths, compared part by part.
- Hidden files and folders, and those that systems add, are no data at any depth: `.ipynb_checkpoints`, `._x.jpg`,
  `__MACOSX`.
- Linked folders are followed, each folder is read once: a loop ends, and what is reached twice counts once, where
  possible under its own path and not under a link's.
- Every suffix that Pillow reads makes a picture, in upper and lower case. Of other names the first bytes decide.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from zoo.errors import InputError

ADDED = frozenset({"__MACOSX", "@eaDir", "lost+found", "System Volume Information", "$RECYCLE.BIN"})  # by systems
# Formats that Pillow has a reader for and cannot read by itself: some need a handler that nobody registers, or
# Windows; PostScript would be run as a program by Ghostscript.
NOT_READ = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
# How the files begin of formats that are met under any name.
SIGNATURES = re.compile(
    rb"\xff\xd8\xff"  # JPEG
    rb"|\x89PNG\r\n\x1a\n"
    rb"|GIF8[79]a"
    rb"|BM.{4}\0{4}"  # BMP: size, two reserved words
    rb"|RIFF.{4}WEBP"
    rb"|II\*\0|MM\0\*"  # TIFF
    rb"|.{4}ftypavi[fs]"
    rb"|\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",  # JPEG 2000
    re.DOTALL,
)


def subfolders(folder: Path) -> list[Path]:
    """The visible folders in a folder, links to folders included, in the order of their names. Links back to it, or to
    a folder above it, are left out.

    `InputError` when it cannot be read.
    """
    loops = _from(folder)
    found = [folder / entry.name for entry in _visible(folder) if _is_folder(entry)]
    return [path for path in found if os.path.realpath(path) not in loops]


def pictures(folder: Path) -> list[Path]:
    """The pictures below a folder. `InputError` when it, or a folder below it, cannot be read."""
    return sorted(_walk(folder), key=lambda path: path.parts)


def has_pictures(folder: Path) -> bool:
    """Whether there is a picture below a folder. `InputError` as `pictures`."""
    return next(_walk(folder), None) is not None


@cache
def suffixes() -> frozenset[str]:
    """The suffixes of pictures, in lower case, with their dot."""
    Image.init()
    readable = set(Image.OPEN) - NOT_READ
    return frozenset(suffix for suffix, format in Image.registered_extensions().items() if format in readable)


def _walk(root: Path) -> Iterator[Path]:
    """Pictures, in no order that matters. Links are followed last: what they lead to may have been read by then."""
    waiting, links = deque([root]), deque[Path]()
    seen = _from(root) - {os.path.realpath(root)}
    while waiting or links:
        folder = waiting.popleft() if waiting else links.popleft()
        place = os.path.realpath(folder)
        if place in seen:
            continue
        seen.add(place)
        for entry in _visible(folder):
            if _is_folder(entry):
                (links if entry.is_symlink() else waiting).append(folder / entry.name)
            elif _is_picture(entry):
                yield folder / entry.name


def _from(folder: Path) -> set[str]:
    """Where a folder and all folders above it really are: a link to one of them is a loop."""
    place = Path(os.path.realpath(folder))
    return {str(place), *(str(above) for above in place.parents)}


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                (entry for entry in entries if not entry.name.startswith(".") and entry.name not in ADDED),
                key=lambda entry: entry.name,
            )
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_picture(entry: os.DirEntry[str]) -> bool:
    try:
        if not entry.is_file():
            return False
        if Path(entry.name).suffix.lower() in suffixes():
            return True
        with Path(entry.path).open("rb") as file:
            return SIGNATURES.match(file.read(16)) is not None
    except OSError:  # a link to nowhere, or nobody may read it
        return False
