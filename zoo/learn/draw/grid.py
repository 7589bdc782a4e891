"""Small pictures side by side, with lines of text below each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from zoo.learn.draw.style import SOFT, picture
from zoo.preprocess import Pixels

SIDE = 1.7  # inches
LEADING = 11.0  # points from one line of text to the next

Line = tuple[str, str]  # text and colour


def draw_grid(
    out: Path,
    images: Sequence[Pixels],
    captions: Sequence[Sequence[Line]],
    *,
    title: str,
    note: str = "",
    draw_on: Sequence[Callable[[Axes], None]] = (),
) -> None:
    """Write square images, uint8 [H, W, 3], row by row. `draw_on`: what else is drawn on each, in its pixels."""
    columns = max(4, round(len(images) ** 0.5))  # four leave room for title and note
    rows = -(-len(images) // columns)
    text = LEADING / 72 * max(len(caption) for caption in captions)
    with picture(out, columns * SIDE, 0.4 + rows * (SIDE + text)) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        figure.text(0.99, 0.99, note, ha="right", va="top", fontsize="small", color=SOFT)
        places = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes in places:
            axes.set_axis_off()
        for axes, image, caption in zip(places, images, captions, strict=False):
            axes.imshow(image, interpolation="nearest")
            axes.autoscale(False)
            for number, line in enumerate(caption):
                _write(axes, number, *line)
        for axes, draw in zip(places, draw_on, strict=False):
            draw(axes)


def _write(axes: Axes, number: int, text: str, colour: str) -> None:
    """Line `number` below an image."""
    axes.annotate(
        text,
        (0, 0),
        xycoords="axes fraction",
        xytext=(0, -3 - number * LEADING),
        textcoords="offset points",
        va="top",
        fontsize="small",
        color=colour,
    )
