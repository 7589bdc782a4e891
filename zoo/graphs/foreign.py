"""A foreign ONNX file: uint8 pictures in, logits out, by ONNX Runtime alone; neither torch nor onnx is needed.

Everything that reads such a file reads it here or with the parts that this is made of. `Signature` says what goes in
and out, `ending` what its last operator is and how its output becomes logits, `onnx_file.read_graph` opens a file that
is to be converted. Used by teachers (`onnx:PATH`), `zoo label`, `zoo export FILE.onnx`, the gate and the bench:

    graph = ForeignGraph(Path("theirs.onnx"), mean=MEAN, std=STD)
    graph.height, graph.width, graph.outputs  # what it sees, and how many numbers it says of a picture
    logits = graph(images)                    # uint8 [N, height, width, 3] -> float32 [N, outputs]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.engines.cuda import gpu_number
from zoo.engines.onnxruntime.session import CPU, CUDA, library, open_session, session_options
from zoo.errors import InputError, first_line
from zoo.graphs.ending import Ending, ending_of, to_logits
from zoo.graphs.index import Index
from zoo.graphs.signature import Signature
from zoo.graphs.structure import check_weights, read_structure
from zoo.machine import cores
from zoo.preprocess import Pixels
from zoo.progress import note

SAID = {
    "softmax": "ends in probabilities: their logarithms are taken as logits",
    "sigmoid": "ends in a sigmoid: its inverse is taken as logits",
}


class ForeignGraph:
    """A graph with one input [N, 3, height, width] or [N, height, width, 3], RGB, uint8 or normalised float, of any
    batch or a fixed one, and an output [N, outputs]. Several threads may call it at the same time.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: Path,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        output: str = "",
        size: int | None = None,
        device: str = "cpu",
        threads: int | None = None,
        option: str = "--size",
        scores: bool = True,
    ) -> None:
        """Open a file, and ask it about two pictures of noise.

        `output`: one of several. `mean`, `std`: of the channels scaled to 0..1, for a graph that takes floats. `size`:
        the side of the pictures where the graph leaves that free; `option` is how a person can say it, for messages.
        `scores`: whether its outputs may be scores of a softmax or sigmoid; points are what they are.
        `InputError` when the file is no such graph, `EnvironmentProblem` when the device is not there.
        """
        self.path, self.device, self.threads = path, device, threads or cores()
        number, options = gpu_number(device), session_options(self.threads)
        if number is None and device != "cpu":
            raise InputError(f"onnxruntime has no device '{device}'; there are: cpu, cuda, cuda:1 and so on")
        if number is not None:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self._provider, settings = (CPU, {}) if number is None else (CUDA, {"device_id": str(number)})
        structure = read_structure(path)
        check_weights(path, structure.graph)
        self._session = open_session(path, options, self._provider, settings)
        self.signature = Signature.of_session(self._session, path)
        self._output = self.signature.output(output, f"{path}#OUTPUT").name
        self.signature.check_picture()
        self.height, self.width = self.signature.height_and_width(size, option)
        self._mean, self._std = mean, std
        self.ending: Ending = "none"
        self.outputs = self._try_out(scores)

    def __call__(self, images: Pixels) -> npt.NDArray[np.float32]:
        """Logits float32 [N, outputs] of uint8 [N, height, width, 3]."""
        return to_logits(self._answer(images), self.ending)

    def run(self, fed: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What the graph itself takes -> what it says, in one call."""
        output: npt.NDArray[Any] = self._session.run([self._output], {self.signature.input.name: fed})[0]
        return output

    def versions(self) -> dict[str, str]:
        """The library's version and the provider in use."""
        return {"onnxruntime": library().__version__, "provider": self._provider}

    def _answer(self, images: Pixels) -> npt.NDArray[Any]:
        """What the graph itself says. A fixed batch is filled up with the last picture."""
        return in_full_batches(
            lambda part: self.run(self.signature.fed(part, self._mean, self._std)),
            images,
            self.signature.batch or len(images),
        )

    def _try_out(self, scores: bool) -> int:
        """How many outputs there are; and, where they may be `scores`, how the graph ends: two pictures show it."""
        noise = np.random.default_rng(0).integers(256, size=(2, self.height, self.width, 3), dtype=np.uint8)
        try:
            answer = self._answer(noise)
        except Exception as error:  # the library raises a dozen types of its own
            size = self.height if self.height == self.width else f"{self.height} x {self.width}"
            raise InputError(f"{self.path} cannot run on pictures of {size} pixels: {first_line(error)}") from None
        if answer.ndim != 2 or len(answer) != 2:
            shape = ", ".join(map(str, answer.shape[1:]))
            raise InputError(f"{self.path}: the output '{self._output}' is [N, {shape}], and [N, outputs] is needed")
        if scores:
            self.ending = ending_of(Index(read_structure(self.path)), self._output, answer, self.path)
        if self.ending in SAID:
            note(f"{self.path} {SAID[self.ending]}")
        return int(answer.shape[1])


def in_full_batches(
    run: Callable[[npt.NDArray[Any]], npt.NDArray[Any]], rows: npt.NDArray[Any], size: int
) -> npt.NDArray[Any]:
    """What `run` gives for all rows, `size` of them at a time: the last batch is filled up with the last row."""
    parts = []
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        filled = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])
        parts.append(run(filled)[: len(part)])
    return np.concatenate(parts)


def file_and_output(place: str) -> tuple[Path, str]:
    """`FILE` or `FILE#OUTPUT` as a path that exists and the name of an output, or none."""
    name, _, output = (place, "", "") if Path(place).is_file() else place.partition("#")
    path = Path(name)
    if not path.is_file():
        raise InputError(f"no such ONNX file: {path}")
    return path, output


def open_signature(path: Path) -> Signature:
    """The signature of any graph with one input that ONNX Runtime can run; `InputError` of any other file."""
    if not path.is_file():
        raise InputError(f"no such ONNX file: {path}")
    check_weights(path, read_structure(path).graph)
    options = library().SessionOptions()
    options.graph_optimization_level = library().GraphOptimizationLevel.ORT_DISABLE_ALL  # only the signature matters
    options.log_severity_level = 4
    try:
        session = library().InferenceSession(str(path), options, providers=[CPU])
    except Exception as error:  # the library raises a dozen types of its own, all meaning "not a graph"
        raise InputError(f"{path} is not an ONNX graph that can be run: {first_line(error)}") from None
    return Signature.of_session(session, path)
