"""Drawn faces with known points, in Kaggle's CSV format: what keypoint tests are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np

POINTS = ("left_eye", "right_eye", "nose_tip")


def draw(random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A grey face uint8 [side, side] with two bright eyes and a dark nose; x, y of each point in pixels."""
    centre = side / 2 + random.uniform(-side / 8, side / 8, 2)
    spread, drop = random.uniform(side / 7, side / 5), random.uniform(side / 8, side / 5)
    # The person's left eye is on the picture's right.
    points = centre + np.array([[spread, -drop], [-spread, -drop], [0, drop / 2]])
    rows, columns = np.mgrid[:side, :side]
    pixels = np.full((side, side), 120.0) + random.normal(0, 8, (side, side))
    for (x, y), level in zip(points, (110, 60, -90), strict=True):
        pixels += level * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (side / 14) ** 2)
    return pixels.clip(0, 255).astype(np.uint8), points


def write_faces(path: Path, count: int, *, side: int = 24, seed: int = 0, unmarked: float = 0.2) -> Path:
    """A CSV file of `count` faces; a share of the noses and right eyes is not marked."""
    random = np.random.default_rng(seed)
    header = [f"{name}_{axis}" for name in POINTS for axis in "xy"]
    lines = [",".join([*header, "Image"])]
    for _ in range(count):
        pixels, points = draw(random, side)
        values = [f"{value:.3f}" for value in points.ravel()]
        if random.uniform() < unmarked:
            values[2:] = [""] * 4
        lines.append(",".join([*values, " ".join(map(str, pixels.ravel()))]))
    path.write_text("\n".join(lines) + "\n")
    return path
