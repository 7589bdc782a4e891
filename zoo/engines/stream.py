"""Many pictures: some threads decode while the network runs on what is decoded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError
from zoo.preprocess import Picture, Pixels, Preprocessing, preprocess
from zoo.tasks.prediction import Prediction

BATCH = 16  # large enough that calls are amortised, small enough that the first predictions come soon
AHEAD = 2  # batches that are being decoded, or wait, while one runs

Size = tuple[int, int]
Decoded = Size | InputError


def predict_many(
    pictures: Iterable[Picture],
    run: Callable[[Pixels], npt.NDArray[np.float32]],
    decode: Callable[[npt.NDArray[np.float32], Size], Prediction],
    *,
    preprocessing: Preprocessing,
    batch: int,
    workers: int,
) -> Iterator[Prediction | InputError]:
    """See `Engine.predict_many`. Arguments are checked at once, not when the first prediction is asked for.

    `run`: uint8 [N, H, W, 3], as `preprocessing` says, -> float32 [N, size]. `decode`: one row of it and the size of
    the picture -> a prediction.
    """
    if batch < 1 or workers < 1:
        raise InputError(f"batch and workers must be at least 1, not {batch} and {workers}")
    return _predictions(iter(pictures), run, decode, preprocessing, batch, workers)


def _predictions(
    pictures: Iterator[Picture],
    run: Callable[[Pixels], npt.NDArray[np.float32]],
    decode: Callable[[npt.NDArray[np.float32], Size], Prediction],
    preprocessing: Preprocessing,
    batch: int,
    workers: int,
) -> Iterator[Prediction | InputError]:
    free = [np.empty((batch, preprocessing.height, preprocessing.width, 3), np.uint8) for _ in range(AHEAD + 1)]
    waiting: deque[tuple[Pixels, list[Future[Decoded]]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:

        def read(picture: Picture, into: Pixels) -> Decoded:
            try:
                into[:], size = preprocess(picture, preprocessing)
            except InputError as error:
                return error
            return size

        def start() -> None:
            """Hand the next batch to the pool, into a buffer that no other batch is using."""
            room = free.pop()
            some = [pool.submit(read, picture, room[place]) for place, picture in enumerate(islice(pictures, batch))]
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
                found = [future.result() for future in some]
                good = [place for place, one in enumerate(found) if not isinstance(one, InputError)]
                pixels = room[: len(found)] if len(good) == len(found) else room[good]
                rows = iter(run(pixels)) if good else iter(())
                for one in found:
                    yield one if isinstance(one, InputError) else decode(next(rows), one)
                free.append(room)
        finally:
            pool.shutdown(cancel_futures=True)  # the caller stopped early, or the engine failed
