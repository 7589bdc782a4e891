"""Many pictures: some threads decode while the network answers what is decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import InputError
from zoo.preprocess import Picture, Pixels, preprocess
from zoo.tasks.prediction import Prediction

if TYPE_CHECKING:
    from zoo.engines.engine import Engine

BATCH = 16  # large enough that calls are amortised, small enough that the first answers do not wait
AHEAD = 2  # batches that are being decoded, or wait, while one is answered

Size = tuple[int, int]
Decoded = Size | InputError


def predict_many(
    engine: Engine, pictures: Iterable[Picture], *, batch: int, workers: int
) -> Iterator[Prediction | InputError]:
    """See `Engine.predict_many`. Arguments are checked at once, not when the first answer is asked for."""
    if batch < 1 or workers < 1:
        raise InputError(f"batch and workers must be at least 1, not {batch} and {workers}")
    return _answers(engine, iter(pictures), batch, workers)


def _answers(
    engine: Engine, pictures: Iterator[Picture], batch: int, workers: int
) -> Iterator[Prediction | InputError]:
    preprocessing = engine.bundle.manifest.input.preprocessing
    free = [np.empty((batch, *engine.input_shape), np.uint8) for _ in range(AHEAD + 1)]
    waiting: deque[tuple[Pixels, list[Future[Decoded]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:

        def decode(picture: Picture, into: Pixels) -> Decoded:
            try:
                into[:], size = preprocess(picture, preprocessing)
            except InputError as error:
                return error
            return size

        def start() -> None:
            """Hand the next batch to the pool, into a buffer that no other batch is using."""
            room = free.pop()
            some = [pool.submit(decode, picture, room[place]) for place, picture in enumerate(islice(pictures, batch))]
            if some:
                waiting.append((room, some))
            else:
                free.append(room)

        try:
            for _ in range(AHEAD):
                start()
            while waiting:
                start()
                room, some = waiting.popleft()
                yield from _answered(engine, room, [future.result() for future in some])
                free.append(room)
        finally:
            pool.shutdown(cancel_futures=True)  # the caller stopped early, or an engine failed


def _answered(engine: Engine, room: Pixels, found: list[Decoded]) -> Iterator[Prediction | InputError]:
    """The answers of one batch whose good pictures lie in `room`, at their own places."""
    good = [place for place, one in enumerate(found) if not isinstance(one, InputError)]
    pixels = room[: len(found)] if len(good) == len(found) else room[good]
    answers = iter(engine(pixels)) if good else iter(())
    for one in found:
        yield one if isinstance(one, InputError) else engine.decode(next(answers), one)
