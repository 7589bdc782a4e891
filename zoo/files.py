"""Files that appear whole or not at all.

Everything is written under a temporary name beside its target and renamed at the end, so that a full disk, Ctrl-C or
a crash leaves the old file or folder as it was.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def source_hash(package: Path) -> str:
    """A short hash of a Python package's source: what its code made may differ where the code does."""
    digest = hashlib.sha256()
    for path in sorted(package.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _beside(path: Path, label: str) -> Path:
    # A thread's number is one of the whole machine: neither processes nor threads that write the same path meet.
    return path.with_name(f".{path.name}.{threading.get_native_id()}.{label}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write; it becomes `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, "tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; it replaces `path` when the block ends without an error.

    When several processes write the same path at once, each result is whole and the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = _beside(path, "tmp"), _beside(path, "old")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        while not _swapped(temporary, path, old):
            pass  # another process made a folder in between: it is moved aside like any other
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _swapped(temporary: Path, path: Path, old: Path) -> bool:
    """Move what is at `path` to `old`, and `temporary` to `path`; False when another folder has appeared there."""
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        path.replace(old)
    try:
        temporary.replace(path)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        if old.exists():
            old.replace(path)
        raise
    return True


@contextmanager
def locked(path: Path, *, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` against other processes; `waiting` is called if another one holds it.

    The kernel lets go of it when a process dies, so that no lock is ever stale. The empty file stays: removing it would
    let two processes lock two files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """Where this user's caches of ours are, by the XDG rule."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "distilzoo"
