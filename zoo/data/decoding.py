"""Many pictures at once: decoded by as many threads as there are cores, bad ones named and counted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from zoo.data.imageset import check_memory
from zoo.errors import InputError
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.progress import note, track


def decode(paths: Sequence[Path], preprocessing: Preprocessing) -> Pixels:
    """All pictures, uint8 [N, H, W, 3]. `InputError` for the first that cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(lambda path: preprocess(path, preprocessing)[0], paths)))


def decode_readable(
    paths: Sequence[Path], preprocessing: Preprocessing, *, what: str, strict: bool = False
) -> tuple[Pixels, list[int]]:
    """The pictures that can be read, uint8 [N, H, W, 3], and their places in `paths`; one line names the others.

    `what` is what the progress bar says. `InputError` when they do not fit into memory, and with `strict` when one of
    them cannot be read.
    """
    check_memory(len(paths), preprocessing)
    pixels = np.empty((len(paths), preprocessing.height, preprocessing.width, 3), dtype=np.uint8)

    def decode_into(place: int) -> str:
        try:
            pixels[place], _ = preprocess(paths[place], preprocessing)
        except InputError as error:
            return str(error)
        return ""

    reasons = []
    with ThreadPoolExecutor(os.cpu_count()) as pool, track(what, len(paths), quiet_log=True) as advance:
        for reason in pool.map(decode_into, range(len(paths))):
            reasons.append(reason)
            advance()
    bad = [reason for reason in reasons if reason]
    if not bad:
        return pixels, list(range(len(paths)))
    if strict:
        raise InputError(f"{bad[0]} (and {len(bad) - 1} more)" if len(bad) > 1 else bad[0])
    note(f"skipped {len(bad)} of {len(paths)} images: {'; '.join(bad[:3])}{' ...' if bad[3:] else ''}")
    good = [place for place, reason in enumerate(reasons) if not reason]
    return pixels[good], good
