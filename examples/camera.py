"""A camera loop with the answer and its latency drawn over each frame.

python camera.py name.zoo --camera 0                  a camera, in a window (pip install opencv-python)
python camera.py name.zoo --frames DIR -o OUT         a folder of pictures stands in for the camera
"""

from __future__ import annotations

import argparse
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

import zoo
from zoo.data.folders import pictures


def from_folder(folder: Path) -> Iterator[np.ndarray[Any, Any]]:
    """The pictures of a folder in order of their names, as RGB frames."""
    for path in pictures(folder):
        with Image.open(path) as picture:
            yield np.asarray(picture.convert("RGB"))


def from_camera(number: int) -> Iterator[np.ndarray[Any, Any]]:
    """Frames of a camera until it ends."""
    import cv2

    camera = cv2.VideoCapture(number)
    while (got := camera.read())[0]:
        yield cv2.cvtColor(got[1], cv2.COLOR_BGR2RGB)


def overlay(frame: np.ndarray[Any, Any], text: str) -> Image.Image:
    """The frame with a line of text in its upper left corner."""
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    draw.rectangle(draw.textbbox((6, 6), text), fill="black")
    draw.text((6, 6), text, fill="white")
    return image


def main() -> None:
    """Answer every frame; print how long the answers took at the end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--camera", type=int)
    source.add_argument("--frames", type=Path)
    parser.add_argument("-o", "--out", type=Path, help="write the frames here instead of showing them")
    given = parser.parse_args()

    engine = zoo.load(given.bundle)
    recent: deque[float] = deque(maxlen=30)
    frames = from_folder(given.frames) if given.frames else from_camera(given.camera)
    for number, frame in enumerate(frames):
        began = time.perf_counter()
        answer = engine.predict(frame)
        recent.append(1000 * (time.perf_counter() - began))
        image = overlay(frame, f"{answer.text(1)}  {sorted(recent)[len(recent) // 2]:.1f} ms")
        if given.out:
            given.out.mkdir(parents=True, exist_ok=True)
            image.save(given.out / f"{number:05d}.png")
        else:
            import cv2

            cv2.imshow("zoo", cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR))
            if cv2.waitKey(1) == ord("q"):
                break
    print(f"{number + 1} frames, median of the last {len(recent)}: {sorted(recent)[len(recent) // 2]:.1f} ms")


if __name__ == "__main__":
    main()
