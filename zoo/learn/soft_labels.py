"""A teacher's answers on disk: one memory-mapped fp16 file [images, views, classes], filled on demand.

Beside it lie a byte for each answer that is there, and a header with the fingerprints of data, views and teacher. A
store of other data, other views or another teacher is refused with the name of what differs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, ZooError
from zoo.files import write_text

SCHEMA = "zoo.soft-labels/1"


class SoftLabels:
    """The store of one teacher for one data set under one set of views."""

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        self.folder = folder
        self._answers = np.memmap(folder / "answers.f16", np.float16, "r+", shape=shape)
        self._there = np.memmap(folder / "there.u8", np.uint8, "r+", shape=shape[:2])

    @classmethod
    def open(
        cls, folder: Path, *, images: int, views: int, classes: int, data: str, view_set: str, teacher: str
    ) -> SoftLabels:
        """Open the store at `folder`, made empty if there is none. Its disk space is taken at once: a mapped file that
        meets a full disk later would kill the process.

        `data`, `view_set`, `teacher`: fingerprints. `InputError` when the store there belongs to others.
        """
        header: dict[str, object] = {
            "schema": SCHEMA,
            "shape": [images, views, classes],
            "data": data,
            "views": view_set,
            "teacher": teacher,
        }
        file = folder / "header.json"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            for name, size in (("answers.f16", images * views * classes * 2), ("there.u8", images * views)):
                with (folder / name).open("wb") as empty:
                    os.posix_fallocate(empty.fileno(), 0, size)
            write_text(file, json.dumps(header, indent=2) + "\n")  # last: a header means the files are there
        stored = json.loads(file.read_text(encoding="utf-8"))
        different = [key for key in header if stored.get(key) != header[key]]
        if different:
            raise InputError(f"the soft labels in {folder} belong to other {' and other '.join(different)}")
        return cls(folder, (images, views, classes))

    def has(self, indices: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of the (image, view) pairs are answered: bool [N]."""
        return self._there[indices, views] == 1

    def get(self, indices: npt.NDArray[np.int64], views: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The answers to (image, view) pairs that are there: float32 [N, classes]."""
        return self._answers[indices, views].astype(np.float32)

    def put(
        self, indices: npt.NDArray[np.int64], views: npt.NDArray[np.int64], logits: npt.NDArray[np.float32]
    ) -> None:
        """Keep the answers. An answer that fp16 cannot hold is an error: stored, it would teach infinity."""
        with np.errstate(over="ignore"):
            halves = logits.astype(np.float16)
        if not np.isfinite(halves).all():
            raise ZooError(f"the teacher answered {np.abs(logits).max():.4g}, which is beyond what fp16 can hold")
        self._answers[indices, views] = halves
        self._there[indices, views] = 1

    @property
    def filled(self) -> float:
        """Share of all (image, view) pairs that are answered."""
        return float(self._there.mean())
