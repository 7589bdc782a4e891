"""A teacher in an ONNX file: anybody's classifier with `onnx:PATH`, or a bundle of this project with `bundle:PATH`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from zoo.engines import Bundle, load
from zoo.errors import EnvironmentProblem, InputError
from zoo.files import sha256
from zoo.graphs.foreign import ForeignGraph, file_and_output, open_signature
from zoo.graphs.structure import files_of
from zoo.learn.batch import Batch
from zoo.learn.teachers.inputs import TeacherInput
from zoo.preprocess import Pixels, Preprocessing
from zoo.progress import note
from zoo.tasks.classification import Classification
from zoo.tasks.prediction import Floats
from zoo.tasks.registry import TASKS

GRAPHS = ("onnx:", "bundle:")  # how a recipe names such a teacher
Opened = TypeVar("Opened")


class OnnxTeacher:
    """A graph that is run each time. `shows`: what it sees of a view; it says `outputs` logits of each, which belong to
    `labels` where the file names them.
    """

    def __init__(
        self,
        run: Callable[[Pixels], Floats],
        *,
        shows: TeacherInput,
        outputs: int,
        fingerprint: str,
        labels: Sequence[str] | None = None,
    ) -> None:
        """`run`: uint8 [N, size, size, 3] -> float32 [N, outputs]."""
        self._run = run
        self.input, self.outputs, self.fingerprint, self.labels = shows, outputs, fingerprint, labels

    @property
    def size(self) -> int:
        """The side of the pictures that the graph takes."""
        assert self.input.size is not None
        return self.input.size

    def to(self, device: torch.device) -> None:
        """Nothing: it runs on the device where it was opened."""

    def prefetch(self, indices: Tensor, views: Tensor, batch_of: Callable[[int], Batch]) -> None:
        """Nothing: there is no store."""

    def logits(self, batch: Batch) -> Tensor:
        """Float32 [N, outputs]. Images after mixup are rounded to whole levels."""
        images = self.input.shown(batch.images).round().to("cpu", torch.uint8).contiguous()
        return torch.from_numpy(self._run(images.numpy())).to(batch.images.device)


def open_teacher(
    model: str,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    size: int | None,
    outputs: int | None = None,
    task: str = Classification.name,
    shows: Callable[[Preprocessing], TeacherInput] | None = None,
) -> OnnxTeacher:
    """Open `onnx:PATH`, `onnx:PATH#OUTPUT` for one of several outputs, or `bundle:PATH`. It runs on the GPU where both
    torch and ONNX Runtime can use it.

    `mean`, `std`: of the channels, scaled to 0..1, for a graph that takes float; others normalise by themselves.
    `size`: the side it sees, where the graph leaves that open. `outputs`: how many there have to be. Where a graph of a
    `task` with logits ends in a softmax or a sigmoid, losses get the logits all the same. `shows`: what it is shown of
    a view, given its own preprocessing; all of it if not given. `InputError` when the file is no such graph.
    """
    kind, _, path = model.partition(":")
    shows = shows or (lambda own: TeacherInput(own.height))
    if kind == "bundle":
        teacher = _bundle(Path(path), task, shows)
    elif kind == "onnx":
        teacher = _plain(path, mean, std, size, task, shows)
    else:
        raise InputError(f"'{model}' is no ONNX teacher: give onnx:PATH or bundle:PATH")
    if size not in (None, teacher.size):
        raise InputError(f"{path} takes pictures of {teacher.size} pixels, not {size}: leave teacher.size out")
    if outputs not in (None, teacher.outputs):
        raise InputError(f"{path} answers with {teacher.outputs} numbers and {outputs} are needed")
    return teacher


def takes_bytes(model: str) -> bool:
    """Whether a graph normalises by itself: a bundle, or an ONNX file whose input is uint8."""
    kind, _, place = model.partition(":")
    return kind == "bundle" or open_signature(file_and_output(place)[0]).input.dtype == "uint8"


def _bundle(path: Path, task: str, shows: Callable[[Preprocessing], TeacherInput]) -> OnnxTeacher:
    bundle = Bundle.open(path)
    about = bundle.manifest
    own = about.input.preprocessing
    if about.task != task:
        raise InputError(f"{path} is a bundle for {about.task}, and the recipe's task is {task}")
    if own.height != own.width:
        raise InputError(f"{path} takes pictures of {own.height} x {own.width} pixels, and squares are needed")
    engine = _on_the_best_device(lambda device: load(bundle, device=device))
    seen = shows(own)
    digest = about.files[about.graphs["fp32"].file].sha256
    if seen != TeacherInput(own.height):  # earlier versions always showed all of a view, bilinearly
        digest = hashlib.sha256(f"{digest} {seen.fingerprint}".encode()).hexdigest()
    return OnnxTeacher(engine, shows=seen, outputs=about.output.size, fingerprint=digest, labels=bundle.labels())


def _plain(
    place: str,
    mean: Sequence[float],
    std: Sequence[float],
    size: int | None,
    task: str,
    shows: Callable[[Preprocessing], TeacherInput],
) -> OnnxTeacher:
    path, output = file_and_output(place)
    scores = bool(TASKS[task].activation)
    graph = _on_the_best_device(
        lambda device: ForeignGraph(
            path, output=output, mean=mean, std=std, size=size, device=device, option="teacher.size", scores=scores
        )
    )
    side = graph.signature.side(size, "teacher.size")
    seen = shows(Preprocessing.square(side))
    digest = hashlib.sha256(f"{output} {list(mean)} {list(std)} {side}".encode())
    if graph.ending == "sigmoid":  # earlier versions took its output for logits: soft labels of theirs are others
        digest.update(b"sigmoid")
    if seen != TeacherInput(side):
        digest.update(seen.fingerprint.encode())
    for file in files_of(path):
        digest.update(sha256(file).encode())
    return OnnxTeacher(graph, shows=seen, outputs=graph.outputs, fingerprint=digest.hexdigest())


def _on_the_best_device(make: Callable[[str], Opened]) -> Opened:
    if torch.cuda.is_available():
        try:
            return make("cuda")
        except EnvironmentProblem as error:
            note(f"{error}: the teacher runs on the CPU")
    return make("cpu")
