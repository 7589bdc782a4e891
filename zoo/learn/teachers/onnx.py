"""A teacher in an ONNX file: anybody's classifier with `onnx:PATH`, or a bundle of this project with `bundle:PATH`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from zoo.engines import Bundle, load
from zoo.engines.cuda import gpu_number
from zoo.engines.onnxruntime.session import CPU, CUDA, library, open_session, session_options
from zoo.errors import EnvironmentProblem, InputError, first_line, nearest
from zoo.files import sha256
from zoo.learn.batch import Batch
from zoo.learn.teachers.online import resized
from zoo.machine import cores
from zoo.preprocess import Pixels
from zoo.progress import note
from zoo.tasks.prediction import Floats

GRAPHS = ("onnx:", "bundle:")  # how a recipe names such a teacher
NUMBERS = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}
Opened = TypeVar("Opened")


class OnnxTeacher:
    """A graph that is asked each time. It sees pictures of `size` pixels and answers with `outputs` numbers."""

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
    `size`: the side it sees, where the graph leaves that open. `outputs`: how many there have to be. A graph that ends
    in a softmax is noticed, and its logarithm taken. `InputError` when the file is no such graph.
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
    path, output = parts(place)
    graph = _on_the_best_device(lambda device: Graph(path, output, mean, std, size, device))
    digest = hashlib.sha256(f"{output} {list(mean)} {list(std)} {graph.size}".encode())
    for file in files_of(path):
        digest.update(sha256(file).encode())
    return OnnxTeacher(graph, size=graph.size, outputs=graph.outputs, fingerprint=digest.hexdigest())


def parts(place: str) -> tuple[Path, str]:
    """`FILE` or `FILE#OUTPUT` as a path that exists and the name of an output, or none."""
    name, _, output = (place, "", "") if Path(place).is_file() else place.partition("#")
    path = Path(name)
    if not path.is_file():
        raise InputError(f"no such ONNX file: {path}")
    return path, output


def files_of(path: Path) -> list[Path]:
    """A graph and, of a large one, the file beside it that keeps its weights."""
    return [file for file in (path, Path(f"{path}.data"), Path(f"{path}_data")) if file.is_file()]


def _on_the_best_device(make: Callable[[str], Opened]) -> Opened:
    if torch.cuda.is_available():
        try:
            return make("cuda")
        except EnvironmentProblem as error:
            note(f"{error}: the teacher runs on the CPU")
    return make("cpu")


class Graph:
    """A graph with one input [N, 3, side, side] or [N, side, side, 3], RGB, uint8 or normalised float, of any batch or
    a fixed one, and an output [N, outputs]. It runs in ONNX Runtime with nothing set but device and threads.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        output: str,
        mean: Sequence[float],
        std: Sequence[float],
        size: int | None,
        device: str,
        threads: int | None = None,
    ) -> None:
        self.device, self.threads = device, threads or cores()
        number, options = gpu_number(device), session_options(self.threads)
        if number is None and device != "cpu":
            raise InputError(f"onnxruntime has no device '{device}'; there are: cpu, cuda, cuda:1 and so on")
        if number is not None:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._provider, settings = (CPU, {}) if number is None else (CUDA, {"device_id": str(number)})
        self._session = open_session(path, options, self._provider, settings)
        self._outputs = [_chosen([each.name for each in self._session.get_outputs()], output, path)]
        faces = self._session.get_inputs()
        if len(faces) != 1:
            raise InputError(f"{path} has {len(faces)} inputs ({', '.join(f.name for f in faces)}), not one picture")
        self._input = faces[0].name
        shape, numbers = faces[0].shape, NUMBERS.get(faces[0].type)
        self._channels_first = shape[1:2] == [3]
        sides = shape[2:] if self._channels_first else shape[1:3]
        fixed = {side for side in sides if isinstance(side, int)}
        if numbers is None or len(shape) != 4 or 3 not in (shape[1], shape[3]) or len(fixed) > 1:
            needed = "uint8 or float [N, 3, side, side] or [N, side, side, 3]"
            raise InputError(f"{path} takes {faces[0].type} {shape}, and {needed} is needed")
        side = fixed.pop() if fixed else size
        if side is None:
            raise InputError(f"{path} takes pictures of any size: say with teacher.size which side it is to see")
        self.size = side
        self._numbers, self._batch = numbers, shape[0] if isinstance(shape[0], int) else None
        self._mean, self._std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        self._probabilities = False
        self.outputs = self._probe(path)

    def __call__(self, images: Pixels) -> Floats:
        """uint8 [N, side, side, 3] -> float32 [N, outputs]."""
        step = self._batch or len(images)
        parts = []
        for start in range(0, len(images), step):
            part = images[start : start + step]
            filled = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
            parts.append(self.run(self._fed(filled))[: len(part)])
        answers = np.concatenate(parts).astype(np.float32)
        return np.log(answers.clip(np.finfo(np.float32).tiny)) if self._probabilities else answers

    def run(self, fed: np.ndarray) -> Floats:
        """What the graph itself takes -> its answers, in one call."""
        answers: Floats = self._session.run(self._outputs, {self._input: fed})[0]
        return answers

    def versions(self) -> dict[str, str]:
        """The library's version and the provider in use."""
        return {"onnxruntime": library().__version__, "provider": self._provider}

    def _fed(self, images: Pixels) -> np.ndarray:
        """What the graph itself takes."""
        planes = images if self._numbers is np.uint8 else (images / np.float32(255) - self._mean) / self._std
        planes = planes.transpose(0, 3, 1, 2) if self._channels_first else planes
        return np.ascontiguousarray(planes, dtype=self._numbers)

    def _probe(self, path: Path) -> int:
        """How many outputs there are, and whether they are probabilities: two pictures of noise show it."""
        noise = np.random.default_rng(0).integers(256, size=(2, self.size, self.size, 3), dtype=np.uint8)
        try:
            answers = self(noise)
        except Exception as error:  # the library raises a dozen types of its own
            raise InputError(f"{path} cannot answer pictures of {self.size} pixels: {first_line(error)}") from None
        if answers.ndim != 2 or len(answers) != 2:
            shape = ", ".join(map(str, answers.shape[1:]))
            raise InputError(f"{path}: the output '{self._outputs[0]}' is [N, {shape}], and [N, outputs] is needed")
        self._probabilities = bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-2))
        if self._probabilities:
            note(f"{path} answers with probabilities: their logarithms are taken as logits")
        return answers.shape[1]


def _chosen(names: list[str], wanted: str, path: Path) -> str:
    if wanted and wanted not in names:
        raise InputError(f"{path} has no output '{wanted}'; it has: {', '.join(names)}{nearest(wanted, names)}")
    if not wanted and len(names) > 1:
        raise InputError(f"{path} has {len(names)} outputs; name one, as in onnx:{path}#{names[0]}: {', '.join(names)}")
    return wanted or names[0]
