"""Pictures of noisy shapes in three classes, and the recipe that trains on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("circle", "cross", "stripes")

RECIPE = """
name = "shapes"
seed = 3

[data]
source = "folder"
path = "{path}"
size = 16
resize = 18
labelled = 0.5
pad = 1
flip = true

[train]
epochs = 4
batch = 16
lr = 0.05

[teacher]
model = "vgg"
knobs = {{ depth = 8, width = 0.25 }}

[teacher.train]
epochs = 4
batch = 16
lr = 0.05

[[students]]
name = "vgg"
model = "vgg"
knobs = {{ depth = 8, width = 0.125 }}

[[students]]
name = "mobilenet_v2"
model = "mobilenet_v2"
knobs = {{ width = 0.25 }}
"""


def picture(label: str, random: np.random.Generator, size: int = 24) -> Image.Image:
    """A noisy shape in random colours, at a random place."""
    rows, columns = np.mgrid[:size, :size] - size / 2 + random.uniform(-3, 3, (2, 1, 1))
    shape = {
        "circle": np.hypot(rows, columns) < size / 4,
        "cross": (abs(rows) < size / 10) | (abs(columns) < size / 10),
        "stripes": np.sin(rows * 1.5) > 0,
    }[label]
    dark, light = random.uniform(0, 80, 3), random.uniform(160, 255, 3)
    pixels = np.where(shape[..., None], light, dark) + random.normal(0, 12, (size, size, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_pictures(folder: Path, each: int, seed: int = 0) -> Path:
    """DIR/CLASS/NNN.png, `each` of every class."""
    random = np.random.default_rng(seed)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(each):
            picture(label, random).save(folder / label / f"{number:03d}.png")
    return folder
