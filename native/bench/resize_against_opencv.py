"""libzoo's resizing beside OpenCV's, on the same pixels, one thread each, in turn.

    pip install opencv-python-headless
    python native/bench/resize_against_opencv.py PHOTO.jpg ... [--size 224] [--rounds 30]

libzoo's filter is Pillow's: antialiased, exact to the bit, and of what the crop keeps only. INTER_AREA is OpenCV's
answer to aliasing; INTER_LINEAR looks at 2 x 2 pixels however much the picture shrinks, so that it does less work and
gives other pixels. OpenCV resizes the part of the picture that the crop keeps, so that neither does more than it must.
Decoding is not timed. Prints the medians over the photographs, and how many times as long OpenCV takes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.preprocess.libzoo import library_path


def kept(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """The part of the picture that the crop is made of, for OpenCV."""
    height, width = pixels.shape[:2]
    wide, high = preprocessing.scaled((width, height))
    columns, rows = round(width * preprocessing.width / wide), round(height * preprocessing.height / high)
    left, top = (width - columns) // 2, (height - rows) // 2
    return np.ascontiguousarray(pixels[top : top + rows, left : left + columns])


def times(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median of each way's times in milliseconds, the ways in turn."""
    found: dict[str, list[int]] = {name: [] for name in ways}
    for _ in range(rounds + 3):
        for name, way in ways.items():
            start = time.perf_counter_ns()
            way()
            found[name].append(time.perf_counter_ns() - start)
    return {name: statistics.median(values[3:]) / 1e6 for name, values in found.items()}


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    try:
        import cv2
    except ImportError:
        sys.exit("needs OpenCV: pip install opencv-python-headless")
    if library_path() is None:
        sys.exit("needs libzoo: `make native`, or ZOO_LIBRARY=PREFIX/lib/libzoo.so.1")
    cv2.setNumThreads(1)
    size = (asked.size, asked.size)
    preprocessing = Preprocessing.square(asked.size)
    rows: list[dict[str, float]] = []
    for photo in asked.photos:
        picture = cv2.imread(str(photo))
        if picture is None or min(picture.shape[:2]) < asked.size:
            print(f"{photo} is left out: not readable, or smaller than {asked.size} pixels", file=sys.stderr)
            continue
        pixels = np.ascontiguousarray(picture[..., ::-1])
        part = kept(pixels, preprocessing)
        ways = {
            "libzoo": lambda pixels=pixels: preprocess(pixels, preprocessing),
            "INTER_AREA": lambda part=part: cv2.resize(part, size, interpolation=cv2.INTER_AREA),
            "INTER_LINEAR": lambda part=part: cv2.resize(part, size, interpolation=cv2.INTER_LINEAR),
        }
        rows.append(times(ways, asked.rounds))
    if not rows:
        sys.exit("no photograph is left")
    print(f"{len(rows)} photographs to {asked.size} x {asked.size}, OpenCV {cv2.__version__}, one thread")
    for name in rows[0]:
        ratio = statistics.median(row[name] / row["libzoo"] for row in rows)
        print(f"{name:13}{statistics.median(row[name] for row in rows):8.3f} ms{ratio:8.2f} x libzoo")


if __name__ == "__main__":
    main()
