"""Soft labels: a teacher's logits on disk, a folder of memory-mapped arrays [images, views, ...], filled on demand.

    header.json   what the logits belong to: fingerprints of data, views and teacher, the shape, and `top`
    there.u8      a byte for each (image, view): 1 where its logits are present

and for all outputs (`top` = 0)

    answers.f16   the logits as the teacher gave them

or for the `top` largest of each row, Shen & Xing 2022 (FKD, arXiv:2112.01528, their "marginal smoothing")

    top.u16       which outputs they are; top.i32 where there are more than 65,536 outputs
    answers.f16   their log-probabilities at temperature 1, and last that of all other outputs together

Fingerprints cover everything that changes a row: pixels and preprocessing of the data, augmentation, the teacher's
weights, architecture, mean, std and size. A store of other data, other views or another teacher is refused with the
name of what differs. Several processes may open and fill one store at the same time. What was stored survives the
process, but not a machine that loses power.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from zoo.data.views import Views
from zoo.errors import EnvironmentProblem, InputError, ZooError
from zoo.files import write_text
from zoo.preprocess import Preprocessing

SCHEMA = "zoo.soft-labels/2"
HEADER = "header.json"
LEAST = float(np.finfo(np.float16).min)
Numbers = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float32]
Files = dict[str, tuple[Any, tuple[int, ...]]]


class SoftLabels:
    """The store of one teacher for one data set under one set of views."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], top: int) -> None:
        self.folder, self.shape, self.top = folder, shape, top
        arrays = {
            name.partition(".")[0]: np.memmap(folder / name, kind, "r+", shape=size)
            for name, (kind, size) in _files(shape, top).items()
        }
        self._present, self._logits, self._which = arrays["there"], arrays["answers"], arrays.get("top")

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        images: int,
        views: int,
        outputs: int,
        data: str,
        view_set: str,
        teacher: str,
        top: int = 0,
    ) -> SoftLabels:
        """Open the store at `folder`, made empty if there is none. Its disk space is taken at once: a mapped file that
        meets a full disk later would kill the process.

        `data`, `view_set`, `teacher`: fingerprints. `top`: how many of the largest logits of a row are kept, 0 for all.
        `InputError` when the store there belongs to others.
        """
        shape = images, views, outputs
        header: dict[str, object] = {
            "schema": SCHEMA,
            "shape": list(shape),
            "top": top,
            "data": data,
            "views": view_set,
            "teacher": teacher,
        }
        file = folder / HEADER
        if not file.exists():
            _create(folder, header, _files(shape, top))
        stored = json.loads(file.read_text(encoding="utf-8"))
        different = [key for key in header if stored.get(key) != header[key]]
        if different:
            raise InputError(f"the soft labels in {folder} belong to other {' and other '.join(different)}")
        return cls(folder, shape, top)

    @classmethod
    def within(cls, stores: Path, **held: Any) -> SoftLabels:
        """The store below `stores` whose name says what it holds; `held` is what `open` takes."""
        identity = f"{held['teacher']} {held['data']} {held['view_set']} {held.get('top', 0)}"
        return cls.open(stores / hashlib.sha256(identity.encode()).hexdigest()[:16], **held)

    def has(self, indices: Numbers, views: Numbers) -> npt.NDArray[np.bool_]:
        """Which of the (image, view) pairs are present: bool [N]. `indices`, `views`: int64 [N]."""
        return np.asarray(self._present[indices, views] == 1)

    def get(self, indices: Numbers, views: Numbers) -> Logits:
        """The logits of (image, view) pairs that are present: float32 [N, outputs]. Where only the largest were kept,
        their softmax has the probabilities of these, and the rest spread evenly over the other outputs.
        """
        stored = self._logits[indices, views].astype(np.float32)
        if self._which is None:
            return stored
        outputs = self.shape[2]
        each = stored[:, -1:] - np.float32(np.log(max(outputs - self.top, 1)))
        logits = np.repeat(each, outputs, axis=1)
        np.put_along_axis(logits, self._which[indices, views].astype(np.int64), stored[:, :-1], axis=1)
        return logits

    def put(self, indices: Numbers, views: Numbers, logits: Logits) -> None:
        """Store logits [N, outputs]. `ZooError` for one that fp16 cannot hold: it would be read back as infinity."""
        if self._which is None:
            self._logits[indices, views] = _halves(logits)
        else:
            which, logs = _largest(logits, self.top)
            self._logits[indices, views] = _halves(logs)
            self._which[indices, views] = which
        self._present[indices, views] = 1

    @property
    def filled(self) -> float:
        """Share of all (image, view) pairs that are present."""
        return float(self._present.mean())


def view_set(views: Views, preprocessing: Preprocessing) -> str:
    """The fingerprint of the views of a store: the augmentation, and how the images it is applied to were made."""
    height, width = preprocessing.height, preprocessing.width
    return f"{views.fingerprint} of resize={preprocessing.resize} crop={width}x{height}"


def _halves(logits: Logits) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):
        halves = logits.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ZooError(f"a logit of the teacher is {np.abs(logits).max():.4g}, which is beyond what fp16 can hold")
    return halves


def _largest(logits: Logits, top: int) -> tuple[Numbers, Logits]:
    """Which outputs are the largest, [N, top], and their log-probabilities, with that of all others last: [N, top + 1].

    A log-probability below the least number of fp16 becomes that number.
    """
    logs = torch.from_numpy(logits).double().log_softmax(dim=1)
    found, which = logs.topk(top, dim=1)
    rest = logs.scatter(1, which, -torch.inf).logsumexp(dim=1, keepdim=True)
    return which.numpy(), torch.cat([found, rest], dim=1).clamp(min=LEAST).float().numpy()


def _files(shape: tuple[int, int, int], top: int) -> Files:
    """Name, type and shape of each array."""
    pairs, outputs = shape[:2], shape[2]
    files: Files = {
        "there.u8": (np.uint8, pairs),
        "answers.f16": (np.float16, (*pairs, top + 1 if top else outputs)),
    }
    if top:
        name, kind = ("top.u16", np.uint16) if outputs <= 2**16 else ("top.i32", np.int32)
        files[name] = kind, (*pairs, top)
    return files


def _create(folder: Path, header: dict[str, object], files: Files) -> None:
    """Make the store beside its folder and rename it; if another process was first, its store stays."""
    sizes = {name: math.prod(shape) * np.dtype(kind).itemsize for name, (kind, shape) in files.items()}
    new = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        new.mkdir(parents=True)
        for name, size in sizes.items():
            _reserve(new / name, size)
        write_text(new / HEADER, json.dumps(header, indent=2) + "\n")
        new.rename(folder)
    except OSError as error:
        if not (folder / HEADER).exists():
            needed = f"{sum(sizes.values()) / 2**30:.2f} GiB"
            raise EnvironmentProblem(f"cannot keep soft labels of {needed} in {folder}: {error.strerror}") from None
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _reserve(path: Path, size: int) -> None:
    """A file of `size` zero bytes, its disk space allocated where the system can do that (macOS cannot)."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
