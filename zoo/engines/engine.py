"""The object that an app holds: pictures in, predictions out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision
from zoo.engines import forking
from zoo.engines.backend import Backend, Logits, Pixels
from zoo.engines.opening import Opening
from zoo.engines.stream import BATCH, predict_many
from zoo.errors import EnvironmentProblem, InputError, ZooError, first_line
from zoo.machine import cores
from zoo.preprocess import Picture, preprocess
from zoo.tasks.prediction import Prediction
from zoo.tasks.registry import TASKS


class _Ready(NamedTuple):
    """A backend of this process, and how it is called by several threads."""

    backend: Backend
    run: Callable[[Pixels], Logits]

    @classmethod
    def of(cls, backend: Backend) -> _Ready:
        return cls(backend, backend.run if backend.takes == "many" else _one_at_a_time(backend.run))


class Engine:
    """A bundle's graph, loaded and ready. Immutable; share it freely between threads.

    It may be pickled and copied, and sent to other processes: there it is opened again, from the bundle at the same
    path. In a forked child it is opened again by the first call. Neither is there for an engine of which only the
    backend is known.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: str,
        graph: Precision,
        backend: Backend,
        batch: int | None = None,
        *,
        opening: Opening | None = None,
    ) -> None:
        """`graph`: what runs in `precision`; `batch`: what `predict_many` takes at a time, where it was tuned.
        `opening`: how `backend` was opened, so that it can be done again.
        """
        self.bundle = bundle
        self.precision = precision
        self.graph = graph
        self.batch = batch
        self._opening = None if opening is None else opening.anywhere()
        self._ready: _Ready | None = _Ready.of(backend)
        self._parents: Backend | None = None  # in a forked child: what its parent had opened
        self._turn = threading.Lock()
        forking.watch(self)
        self.labels = bundle.labels()
        image = bundle.manifest.input
        self.input_shape = (image.height, image.width, 3)
        self._preprocessing = image.preprocessing
        self.task = TASKS[bundle.manifest.task](self.labels, image.height)
        self._name = f"the {graph} graph of {bundle.path}"

    @classmethod
    def opened(cls, opening: Opening) -> Engine:
        """An engine that was opened with these arguments. Raises the errors of `zoo.load`."""
        return cls(opening.bundle, opening.precision, opening.graph, opening.open(), opening.batch, opening=opening)

    @property
    def backend(self) -> Backend:
        """The backend that runs in this process."""
        return self._here().backend

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 [N, H, W, 3] RGB in, float32 [N, size] out. `InputError` for any other shape or type, and for a graph
        that does not keep to what the manifest says of it; `EnvironmentProblem` when the backend fails.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.input_shape or not len(images):
            wanted = ", ".join(str(side) for side in self.input_shape)
            raise InputError(f"expected uint8 [N, {wanted}], got {images.dtype} {list(images.shape)}")
        try:
            logits = self._here().run(images)
        except ZooError:
            raise
        except Exception as error:  # each library raises types of its own
            name = self.backend.name
            raise EnvironmentProblem(f"{name} cannot run {self._name}: {first_line(error)}") from error
        if logits.shape != (len(images), self.task.outputs):
            shape = list(logits.shape)
            raise InputError(f"{self._name} answers {shape}, the manifest says [{len(images)}, {self.task.outputs}]")
        return logits

    def predict(self, picture: Picture) -> Prediction:
        """The prediction of one picture: a path, bytes, a PIL image or uint8 pixels. `InputError` when it cannot be
        read.
        """
        pixels, size = preprocess(picture, self._preprocessing)
        return self.decode(self(pixels[None])[0], size)

    def predict_many(
        self, pictures: Iterable[Picture], *, batch: int | None = None, workers: int | None = None
    ) -> Iterator[Prediction | InputError]:
        """Predictions of many pictures, lazily and in their order: for each its `Prediction`, or the `InputError` that
        says why it could not be read; one bad picture does not lose the others.

        Pictures are decoded by `workers` threads (as many as there are cores) while `batch` of them (16, or what
        `zoo tune --for throughput` found) are run at once. At most three batches are in memory, so that
        `pictures` may be endless.
        """
        return predict_many(
            pictures,
            self,
            self.decode,
            preprocessing=self._preprocessing,
            batch=(self.batch or BATCH) if batch is None else batch,
            workers=cores() if workers is None else workers,
        )

    def decode(self, logits: npt.NDArray[np.float32], picture: tuple[int, int]) -> Prediction:
        """What one row of logits, float32 [size], means for the upright picture of that (width, height)."""
        return self.task.decode(logits, self._preprocessing, picture)

    def describe(self) -> dict[str, Any]:
        """What really runs, as data."""
        return {
            "bundle": self.bundle.manifest.name,
            "backend": self.backend.name,
            "precision": self.precision,
            "graph": self.graph,
            "device": self.backend.device,
            "threads": self.backend.threads,
            **self.backend.versions(),
        }

    def __repr__(self) -> str:
        about = self.describe()
        return (
            f"<Engine {about['bundle']}: {about['backend']} {about['precision']} "
            f"on {about['device']}, {about['threads']} threads>"
        )

    def __reduce__(self) -> tuple[Callable[[Opening], Engine], tuple[Opening]]:
        """Pickled as what it was opened with; `TypeError` where that is not known."""
        if self._opening is None:
            raise TypeError("an engine that zoo.load did not open cannot be pickled: send the bundle's path instead")
        return Engine.opened, (self._opening,)

    def __copy__(self) -> Engine:
        return self

    def after_fork(self) -> None:
        """In a forked child: the parent's backend is neither used nor destroyed here."""
        if self._ready is not None:
            forking.keep_for_ever(self._ready)
            self._parents = self._ready.backend
        self._ready, self._turn = None, threading.Lock()

    def _here(self) -> _Ready:
        """What runs in this process; opened now, where the process is a forked child and this is its first call."""
        ready = self._ready
        if ready is None:
            with self._turn:
                ready = self._ready = self._ready or self._reopened()
        return ready

    def _reopened(self) -> _Ready:
        if self._opening is None:
            raise EnvironmentProblem(f"{self._name} was opened before this process was forked: open it again here")
        if self._parents is not None and self._parents.device != "cpu":
            raise EnvironmentProblem(
                f"{self._name} was opened on {self._parents.device} before this process was forked, and CUDA does not "
                "work in a forked child: start the process with the method spawn, and send it the engine"
            )
        return _Ready.of(self._opening.open())


def _one_at_a_time(run: Callable[[Pixels], Logits]) -> Callable[[Pixels], Logits]:
    """For a backend that takes one caller: the others wait."""
    turn = threading.Lock()

    def alone(images: Pixels) -> Logits:
        with turn:
            return run(images)

    return alone
