"""Where the time of one call goes, layer by layer."""

from __future__ import annotations

from bench.page.charts.section import Figure, Numbers, Section, Spec
from bench.page.charts.spec import chart, tooltip
from bench.results import Row
from bench.show.table import Line, Table
from bench.show.text import milliseconds

STEP = 28  # pixels a layer
MOST = 40  # bars; a network with more layers shows the longest, in its own order


def section(table: Table, shipped: Line | None) -> Section | None:
    """The layers of what is shipped, or else of the fastest engine that gives them; others stand in their rows."""
    lines = sorted(
        (line for line in table.lines if layered(line)), key=lambda line: (line is not shipped, line.p50_ms or 1e9)
    )
    if not lines:
        return None
    line = lines[0]
    row = layered(line)
    assert row is not None
    values, total = shown(row)
    about = (
        f"{line.title} at batch {row.batch}, in the order in which its layers run, as {line.engine.backend} counts "
        "them in a pass of its own. A profiler adds to what it looks at: read shares, not times."
    )
    if len(lines) > 1:
        about += " Those of other engines stand in their rows of the table."
    told = [[value["line"], value["kind"], value["text"], value["share"]] for value in values]
    numbers = Numbers("Layers as a table", ["layer", "kind", "time", "share"], told, text=(0, 1))
    spec = {**drawing(), **data(values)}
    label = f"Time of each layer of {line.title}, {milliseconds(total)} in all; a table follows"
    figure = Figure("layers", label, spec, numbers=numbers, listed=True)
    return Section("layers", "Where the time goes", about, [figure], short="Layers")


def layered(line: Line) -> Row | None:
    """The line's first row that has layers with any time."""
    return next((row for row in line.rows if row.layers and sum(layer.ms for layer in row.layers) > 0), None)


def shown(row: Row) -> tuple[list[Spec], float]:
    """The bars of one row's layers, in their order, and the sum of all; what is left out is one bar at the end."""
    layers = row.layers or []
    total = sum(layer.ms for layer in layers)
    longest = sorted(range(len(layers)), key=lambda place: -layers[place].ms)[:MOST]
    values = [_bar(layers[place].name, layers[place].kind, layers[place].ms, total) for place in sorted(longest)]
    if rest := len(layers) - len(values):
        left = total - sum(layers[place].ms for place in longest)
        values.append(_bar(f"{rest} shorter layers", "", left, total))
    return [{**value, "place": place} for place, value in enumerate(values)], total


def _bar(name: str, kind: str, ms: float, total: float) -> Spec:
    title = f"{kind} · {name}" if kind and kind != name else name
    return {"line": name, "kind": kind, "title": title, "ms": round(ms, 5), "text": milliseconds(ms)} | {
        "share": f"{100 * ms / total:.1f} %"
    }


def drawing() -> Spec:
    """Thin bars; `data` has the rest."""
    y = {"field": "place", "type": "ordinal", "axis": None, "scale": {"paddingInner": 0}}
    text = {"type": "text", "fontSize": 11, "yOffset": -5}
    bar = {
        "mark": {"type": "bar", "height": 5, "yOffset": 6, "color": "var(--student)"},
        "encoding": {
            "x": {"field": "ms", "type": "quantitative", "scale": {"nice": False, "zero": True}, "axis": None},
            "y": y,
            **tooltip(("line", "layer"), ("kind", "kind"), ("text", "time"), ("share", "share")),
        },
    }
    name = {
        "mark": {**text, "align": "left", "color": "var(--ink)", "limit": {"expr": "width - 76"}},
        "encoding": {"x": {"value": 0}, "y": y, "text": {"field": "title"}},
    }
    share = {
        "mark": {**text, "align": "right", "color": "var(--soft)"},
        "encoding": {"x": {"value": "width"}, "y": y, "text": {"field": "share"}},
    }
    return {**chart([bar, name, share], STEP), "data": {"name": "layers"}}


def data(values: list[Spec]) -> Spec:
    """What makes a drawing of these bars."""
    return {"datasets": {"layers": values}, "height": STEP * len(values)}
