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
from zoo.graphs.foreign import ForeignGraph, file_and_output
from zoo.graphs.structure import files_of
from zoo.learn.batch import Batch
from zoo.learn.teachers.online import resized
from zoo.preprocess import Pixels
from zoo.progress import note
from zoo.tasks.prediction import Floats

GRAPHS = ("onnx:", "bundle:")  # how a recipe names such a teacher
Opened = TypeVar("Opened")


class OnnxTeacher:
    """A graph that is run each time. It sees pictures of `size` pixels and says `outputs` logits of each."""

    def __init__(self, run: Callable[[Pixels], Floats], *, size: int, outputs: int, fingerprint: str) -> None:
        """`run`: uint8 [N, size, size, 3] -> float32 [N, outputs]."""
        self._run = run
        self.size, self.outputs, self.fingerprint = size, outputs, fingerprint

    def to(self, device: torch.device) -> None:
        """Nothing: it runs on the device where it was opened."""

    def prefetch(self, indices: Tensor, views: Tensor, batch_of: Callable[[int], Batch]) -> None:
        """Nothing: there is no store."""

    def logits(self, batch: Batch) -> Tensor:
        """Float32 [N, outputs]. Images after mixup are rounded to whole levels."""
        images = resized(batch.images, self.size).round().to("cpu", torch.uint8).contiguous()
        return torch.from_numpy(self._run(images.numpy())).to(batch.images.device)


def open_teacher(
    model: str, *, mean: Sequence[float], std: Sequence[float], size: int | None, outputs: int | None = None
) -> OnnxTeacher:
    """Open `onnx:PATH`, `onnx:PATH#OUTPUT` for one of several outputs, or `bundle:PATH`. It runs on the GPU where both
    torch and ONNX Runtime can use it.

    `mean`, `std`: of the channels, scaled to 0..1, for a graph that takes float; others normalise by themselves.
    `size`: the side it sees, where the graph leaves that open. `outputs`: how many there have to be. Where a graph ends
    in a softmax or a sigmoid, losses get the logits all the same. `InputError` when the file is no such graph.
    """
    kind, _, path = model.partition(":")
    if kind == "bundle":
        teacher = _bundle(Path(path))
    elif kind == "onnx":
        teacher = _plain(path, mean, std, size)
    else:
        raise InputError(f"'{model}' is no ONNX teacher: give onnx:PATH or bundle:PATH")
    if size not in (None, teacher.size):
        raise InputError(f"{path} takes pictures of {teacher.size} pixels, not {size}: leave teacher.size out")
    if outputs not in (None, teacher.outputs):
        raise InputError(f"{path} answers with {teacher.outputs} numbers and {outputs} are needed")
    return teacher


def _bundle(path: Path) -> OnnxTeacher:
    bundle = Bundle.open(path)
    about = bundle.manifest
    engine = _on_the_best_device(lambda device: load(bundle, device=device))
    graph = about.files[about.graphs["fp32"].file]
    return OnnxTeacher(engine, size=about.input.height, outputs=about.output.size, fingerprint=graph.sha256)


def _plain(place: str, mean: Sequence[float], std: Sequence[float], size: int | None) -> OnnxTeacher:
    path, output = file_and_output(place)
    graph = _on_the_best_device(
        lambda device: ForeignGraph(
            path, output=output, mean=mean, std=std, size=size, device=device, option="teacher.size"
        )
    )
    side = graph.signature.side(size, "teacher.size")
    digest = hashlib.sha256(f"{output} {list(mean)} {list(std)} {side}".encode())
    if graph.ending == "sigmoid":  # earlier versions took its output for logits: soft labels of theirs are others
        digest.update(b"sigmoid")
    for file in files_of(path):
        digest.update(sha256(file).encode())
    return OnnxTeacher(graph, size=side, outputs=graph.outputs, fingerprint=digest.hexdigest())


def _on_the_best_device(make: Callable[[str], Opened]) -> Opened:
    if torch.cuda.is_available():
        try:
            return make("cuda")
        except EnvironmentProblem as error:
            note(f"{error}: the teacher runs on the CPU")
    return make("cpu")
