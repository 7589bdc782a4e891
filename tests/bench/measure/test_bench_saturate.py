import threading
import time

import numpy as np
import pytest

from bench.measure.saturate import saturate
from zoo.errors import InputError

INPUTS = [np.full((2, 4, 4, 3), number, dtype=np.uint8) for number in range(3)]


def test_callers_work_at_once_each_in_a_thread_of_its_own() -> None:
    together = threading.Barrier(4)
    seen: dict[int, list[int]] = {}

    def call(images) -> None:
        seen.setdefault(threading.get_ident(), []).append(int(images[0, 0, 0, 0]))
        together.wait(timeout=30)  # passes only when all four are inside
        time.sleep(0.002)

    found = saturate(call, INPUTS, 4, seconds=0)
    assert found.streams == 4
    assert found.calls == 4  # at least one each; the first of each does not count
    assert len(seen) == 4
    assert sorted(images[0] for images in seen.values()) == [0, 0, 1, 2]  # they do not march through the inputs abreast
    assert found.images_per_second > 0


def test_throughput_is_the_images_of_all_callers_over_the_time_up_to_the_last_answer() -> None:
    lock, now = threading.Lock(), [0]

    def call(images) -> None:
        with lock:
            now[0] += 5_000_000

    found = saturate(call, INPUTS, 1, seconds=0.1, clock=lambda: now[0])
    assert (found.calls, found.images_per_second) == (20, pytest.approx(2 / 0.005))


def test_what_one_caller_raises_ends_all_and_is_raised() -> None:
    lock, count = threading.Lock(), [0]

    def call(images) -> None:
        with lock:
            count[0] += 1
            if count[0] == 3:
                raise InputError("not this one")

    with pytest.raises(InputError, match="not this one"):
        saturate(call, INPUTS, 3, seconds=60)
