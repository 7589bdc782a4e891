"""How long an app waits for its first prediction, and the throughput of an engine that several threads share."""

from __future__ import annotations

from collections.abc import Sequence

from bench.page.charts.section import Figure, Numbers, Section, Spec
from bench.page.charts.spec import ROW, by_role, captions, chart, listed, names, role_of, tooltip
from bench.results import Row
from bench.show.table import Line, Table
from bench.show.text import NOTHING, milliseconds, rate


def row_of(line: Line, batch: int) -> Row:
    """The line's row at this batch size, or else its first."""
    return next((row for row in line.rows if row.batch == batch), line.rows[0])


def start(table: Table) -> Section | None:
    """Load and first call, one bar after the other, the shortest wait first."""
    known = names(table.lines)
    found = []
    for line in table.lines:
        begun = row_of(line, table.latency_batch).start
        if begun:
            found.append((begun.load_ms + begun.first_call_ms, begun, line))
    found.sort(key=lambda one: one[0])
    values = [
        {
            "line": known[id(line)],
            "role": role_of(line),
            "load": begun.load_ms,
            "total": total,
            "text": milliseconds(total),
            "load_text": milliseconds(begun.load_ms),
            "first_text": milliseconds(begun.first_call_ms),
        }
        for total, begun, line in found
    ]
    if not values:
        return None
    end, longest = _edge([total for total, _, _ in found]), found[-1][0]
    scale = {"nice": False, "domain": [0, end], "clamp": True}
    told = tooltip(("line", "engine"), ("load_text", "load"), ("first_text", "first call"))
    bar = {"type": "bar", "height": 7, "yOffset": 6}
    position = {"type": "quantitative", "scale": scale, "axis": None}
    y = listed(values)
    load = {"mark": bar, "encoding": {"x": {"field": "load", **position}, "y": y, **by_role("color"), **told}}
    first = {
        "mark": {**bar, "opacity": 0.4},
        "encoding": {"x": {"field": "load", **position}, "x2": {"field": "total"}, "y": y, **by_role("color"), **told},
    }
    about = (
        "From the name of a file to an engine, and then its first call, in which memory is allocated and kernels are "
        "chosen. Solid: load. Pale: first call. The sum is on the right."
    )
    if longest > end:
        about += " A bar that runs to the edge is longer than there is room for."
    rows = [[str(value["line"]), *(str(value[key]) for key in ("load_text", "first_text", "text"))] for value in values]
    numbers = Numbers("Load and first call as a table", ["engine", "load", "first call", "sum"], rows)
    spec = chart([load, first, *captions(values)], ROW * len(values), values)
    figure = Figure("start", "Load and first call of each engine; a table follows", spec, numbers=numbers, listed=True)
    return Section("start", "How long the first prediction takes", about, [figure], short="Start-up")


def _edge(totals: Sequence[float]) -> float:
    """Where the scale ends: one wait that dwarfs all others must not make them all look the same."""
    *others, longest = sorted(totals)
    return longest if not others or longest <= 4 * others[-1] else 1.25 * others[-1]


def saturation(table: Table) -> Section | None:
    """Images a second by the number of callers at the latency batch (or the first that has any), the highest first."""
    known = names(table.lines)
    found: list[tuple[float, Line, Row]] = []
    for line in table.lines:
        row = row_of(line, table.latency_batch)
        row = row if row.saturation else next((one for one in line.rows if one.saturation), row)
        if row.saturation:
            found.append((max(level.images_per_second for level in row.saturation), line, row))
    if not found:
        return None
    found.sort(key=lambda one: -one[0])
    levels = sorted({level.streams for _, _, row in found for level in row.saturation})
    values: list[Spec] = []
    for most, line, row in found:
        name = known[id(line)] + ("" if row.batch == table.latency_batch else f" · batch {row.batch}")
        reached = {str(level.streams): level.images_per_second for level in row.saturation}
        values.append({"line": name, "role": role_of(line), "text": f"{rate(most)}/s", **reached})
    x = {"type": "quantitative", "scale": {"nice": False, "domain": [0, found[0][0]]}, "axis": None}
    told = tooltip(("line", "engine"), *((str(level), f"with {level}") for level in levels))
    height = min(9.0, 14 / len(levels))
    layers: list[Spec] = [
        {
            "mark": {
                "type": "bar",
                "height": height - 1,
                "yOffset": 3 + place * height,
                "opacity": 0.35 + 0.65 * (place + 1) / len(levels),
            },
            "encoding": {"x": {"field": str(level), **x}, "y": listed(values), **by_role("color"), **told},
        }
        for place, level in enumerate(levels)
    ]
    callers = ", ".join(str(level) for level in levels)
    about = (
        f"Several callers of one engine at once, each in a thread of its own and with batch {table.latency_batch}. "
        f"Bars from top to bottom: {callers} caller{'s' if levels[-1] != 1 else ''}; on the right, the most that was "
        "reached. Rows of the table have their other batches."
    )
    figure = Figure(
        "saturation",
        "Images a second by the number of callers; a table follows",
        chart([*layers, *captions(values)], (ROW + 4) * len(values), values),
        numbers=_levels(values, levels),
        listed=True,
    )
    return Section("saturation", "How much it answers at once", about, [figure], short="Saturation")


def _levels(values: Sequence[Spec], levels: Sequence[int]) -> Numbers:
    rows = [
        [value["line"], *(rate(value[str(level)]) if str(level) in value else NOTHING for level in levels)]
        for value in values
    ]
    heading = ["images/s with", *(f"{level} caller{'s' if level != 1 else ''}" for level in levels)]
    return Numbers("Images a second as a table", heading, rows)
