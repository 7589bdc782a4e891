"""Where the words at the points of a plot go, so that they cover neither each other nor a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.page.charts.section import Spec

CHAR, LINE, GAP = 6.4, 15.0, 10.0  # pixels: a character and a line at 12 px, and the way from a point to its label
POINT = 7.0  # half of a mark
# A label that is right on a wide page is wrong on a phone. Each has its own, and the plot shows one of them.
WIDE, NARROW = 1100, 290  # pixels of a plot on a page of 1240 and of 390
LIMIT = 620  # pixels of a plot below which it is the narrow ones


@dataclass(frozen=True)
class LabelRequest:
    """A word for a point, in pixels from the top left of the plot; `below` the point, if there is room."""

    key: str
    x: float
    y: float
    text: str
    below: bool = False


@dataclass(frozen=True)
class Place:
    """Where a label stands, from its point, and which of its ends is there."""

    dx: float
    dy: float
    align: Literal["left", "center", "right"]


Box = tuple[float, float, float, float]  # left, top, right, bottom


def place(
    requests: Sequence[LabelRequest], points: Sequence[tuple[float, float]], width: float, height: float
) -> dict[str, Place]:
    """A place for each request that has one, the first requests first. The others have to do without a label."""
    taken: list[Box] = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    found: dict[str, Place] = {}
    for request in requests:
        for candidate in sorted(_around(), key=lambda one: request.below and one.dy <= 0):
            box = _box(request, candidate)
            inside = box[0] >= 0 and box[2] <= width and box[1] >= -4 and box[3] <= height
            if inside and not any(_overlap(box, other) for other in taken):
                found[request.key] = candidate
                taken.append(box)
                break
    return found


def label(point: Spec, text: str, where: Place, test: str, x: Spec, y: Spec) -> Spec:
    """The layer that writes one label, shown while the expression `test` holds; heavy for what is shipped."""
    mark = {"type": "text", "fontSize": 12, "fontWeight": 600 if "ship" in text.split() else 400, "color": "var(--ink)"}
    mark |= {"align": where.align, "baseline": "middle", "dx": where.dx, "dy": where.dy}
    return {
        "data": {"values": [{**point, "note": text}]},
        "mark": {**mark, "opacity": {"expr": f"{test} ? 1 : 0"}},
        "encoding": {"x": x, "y": y, "text": {"field": "note"}},
    }


def _around() -> list[Place]:
    return [
        Place(0, -GAP - 7, "center"),
        Place(GAP, 0, "left"),
        Place(-GAP, 0, "right"),
        Place(0, GAP + 7, "center"),
        Place(-4, -GAP - 7, "left"),
        Place(4, -GAP - 7, "right"),
        Place(-4, GAP + 7, "left"),
        Place(4, GAP + 7, "right"),
        Place(0, -GAP - 7 - LINE, "center"),
        Place(0, GAP + 7 + LINE, "center"),
    ]


def _box(request: LabelRequest, place: Place) -> Box:
    long = CHAR * len(request.text)
    before = {"left": 0.0, "center": long / 2, "right": long}[place.align]
    left, middle = request.x + place.dx - before, request.y + place.dy
    return left, middle - LINE / 2, left + long, middle + LINE / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
