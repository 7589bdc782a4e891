"""The vocabulary of the page's charts: Vega-Lite specifications, plain dicts.

Colours are CSS variables of the page, so that one drawing serves light, dark and print. A role is told by shape and
fill as well as by colour. Labels stand above what they name instead of beside it: on a phone the width is the plot's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from bench.page.charts.section import Spec
from bench.show.table import Line

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name, never fetched
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"  # Vega measures with it
ROW = 38  # pixels a line of a list: a label and below it what it names
ROLES = ["teacher", "control", "student", "model"]
COLOURS = {"domain": ROLES, "range": ["var(--teacher)", "var(--control)", "var(--student)", "var(--student)"]}
SHAPES = {"domain": ROLES, "range": ["diamond", "circle", "circle", "square"]}
HOLLOW = {"fillOpacity": {"condition": {"test": "datum.role == 'control'", "value": 0}, "value": 1}}

CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
    "padding": {"left": 0, "right": 0, "top": 4, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--soft)",
        "titleColor": "var(--soft)",
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": "var(--line)",
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "titlePadding": 10,
    },
}


def chart(layers: list[Spec], height: int, values: Sequence[Spec] | None = None) -> Spec:
    """Layers over each other, as wide as the page lets them be. Without `values` each layer has its own."""
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        **({} if values is None else {"data": {"values": list(values)}}),
        "layer": layers,
    }


def by_role(*channels: str) -> Spec:
    """Encodings of a role as colour or shape."""
    return {
        channel: {"field": "role", "type": "nominal", "scale": SHAPES if channel == "shape" else COLOURS}
        | {"legend": None}
        for channel in channels
    }


def tooltip(*fields: tuple[str, str]) -> Spec:
    """What a pointer is told: (field, title) each."""
    return {"tooltip": [{"field": field, "title": title} for field, title in fields]}


def log_axis(
    field: str, title: str, ticks: Sequence[float], domain: tuple[float, float], *, padding: int = 0, **more: object
) -> Spec:
    """A logarithmic position with its ticks given, because Vega's own are crowded."""
    scale = {"type": "log", "nice": False, "domain": domain, "padding": padding}
    axis = {"title": title, "values": list(ticks), "format": "~g", "labelOverlap": "greedy"} | more
    return {"field": field, "type": "quantitative", "scale": scale, "axis": axis}


def one_two_five(low: float, high: float) -> list[float]:
    """The numbers 1, 2, 5, 10, 20 ... between two others: ticks of a log axis."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    series = [digit * 10.0**exponent for exponent in exponents for digit in (1, 2, 5)]
    return [float(f"{tick:.1g}") for tick in series if low * 0.999 <= tick <= high * 1.001]


def role_of(line: Line) -> str:
    """The role as the marks know it: a network that has none is a model."""
    return line.role or "model"


def names(lines: Sequence[Line]) -> dict[int, str]:
    """A name for each line by its `id`, with threads and device only where the short one says too little."""
    titles = Counter(line.title for line in lines)
    full = {id(line): f"{line.model} · {line.how}" for line in lines}
    return {id(line): line.title if titles[line.title] == 1 else full[id(line)] for line in lines}


def listed(values: Sequence[Spec]) -> Spec:
    """The place of each value of a list, in its order."""
    return {"field": "line", "type": "ordinal", "sort": [value["line"] for value in values], "axis": None}


def captions(values: Sequence[Spec]) -> list[Spec]:
    """Above each row of a list: its name on the left, its number on the right."""
    text = {"type": "text", "yOffset": -8, "fontSize": 12}
    sides = (
        ("line", {"align": "left", "color": "var(--ink)", "limit": {"expr": "width - 76"}}, 0),
        ("text", {"align": "right", "color": "var(--soft)"}, "width"),
    )
    return [
        {
            "data": {"values": list(values)},
            "mark": {**text, **side},
            "encoding": {"x": {"value": place}, "y": listed(values), "text": {"field": field}},
        }
        for field, side, place in sides
    ]


def bars(values: Sequence[Spec], title: str, *, log: bool = False) -> Spec:
    """A thin bar for each value, from zero; on a log scale from the power of ten below the smallest.

    A value has `line`, `role`, `number`, its `text`, and `exact` for the pointer.
    """
    most, floor = max(value["number"] for value in values), 0.0
    scale: Spec = {"nice": False, "domain": [0, most]}
    if log:
        floor = 10 ** math.floor(math.log10(min(value["number"] for value in values) * 0.6))
        scale = {"type": "log", "nice": False, "domain": [floor, most]}
    layer = {
        "mark": {"type": "bar", "height": 7, "yOffset": 6, "cornerRadiusEnd": 3},
        "encoding": {
            "x": {"field": "number", "type": "quantitative", "scale": scale, "axis": None},
            "x2": {"datum": floor},
            "y": listed(values),
            **by_role("color"),
            **tooltip(("line", title), ("exact", "exactly")),
        },
    }
    return chart([layer, *captions(values)], ROW * len(values), values)
