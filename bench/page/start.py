"""What an app waits for before its first answer, and what an engine gives when several ask at once."""

from __future__ import annotations

from collections.abc import Sequence

from bench.page.section import Figure, Numbers, Section, Spec
from bench.page.spec import ROW, by_role, captions, chart, listed, log_axis, names, one_two_five, role_of, tooltip
from bench.results import Row
from bench.table import Line, Table
from bench.text import NOTHING, milliseconds, rate


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
    scale = {"nice": False, "domain": [0, found[-1][0]]}
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
    rows = [[str(value["line"]), *(str(value[key]) for key in ("load_text", "first_text", "text"))] for value in values]
    numbers = Numbers("Load and first call as a table", ["engine", "load", "first call", "sum"], rows)
    spec = chart([load, first, *captions(values)], ROW * len(values), values)
    figure = Figure("start", "Load and first call of each engine; a table follows", spec, numbers=numbers, listed=True)
    return Section("start", "How long the first answer takes", about, [figure], short="Start-up")


def saturation(table: Table) -> Section | None:
    """Images a second by the number of callers, the highest first."""
    known = names(table.lines)
    found: list[tuple[float, Line, Row]] = []
    for line in table.lines:
        for row in line.rows:
            if row.saturation:
                found.append((max(level.images_per_second for level in row.saturation), line, row))
    if not found:
        return None
    found.sort(key=lambda one: -one[0])
    several = len({row.batch for _, _, row in found}) > 1
    marks: list[Spec] = []
    ends: list[Spec] = []
    for most, line, row in found:
        name = known[id(line)] + (f" · batch {row.batch}" if several else "")
        about = {"line": name, "role": role_of(line)}
        levels = [(level.streams, level.images_per_second) for level in row.saturation]
        marks += [
            {**about, "streams": streams, "images": images, "shown": rate(images), "best": images == most}
            for streams, images in levels
        ]
        lowest = min(images for _, images in levels)
        ends.append({**about, "low": lowest, "high": most, "text": f"{rate(most)}/s", "levels": levels})
    low, high = min(end["low"] for end in ends) / 1.1, max(end["high"] for end in ends) * 1.1
    ticks = one_two_five(low, high) or [round(high)]
    x = log_axis("images", "images a second (log)", ticks, (low, high), format=",", grid=False)
    y = listed(ends)
    # Captions stand above and callers below: a number beside its dot would cover the next one.
    layers: list[Spec] = [
        {
            "data": {"values": ends},
            "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.4, "yOffset": 6},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, **by_role("color")},
        },
        {
            "mark": {"type": "point", "size": 170, "filled": True, "opacity": 1, "yOffset": 6},
            "encoding": {
                "x": x,
                "y": y,
                **{"color": by_role("color")["color"]},
                **tooltip(("line", "engine"), ("streams", "callers"), ("shown", "images/s")),
            },
        },
        {
            "mark": {"type": "text", "fontSize": 10, "fontWeight": 600, "color": "var(--card)", "yOffset": 6},
            "encoding": {"x": x, "y": y, "text": {"field": "streams"}},
        },
    ]
    about_ = (
        "Several callers of one engine, each in a thread of its own. The number in a dot says how many callers there "
        "were; on the right is the most that was reached."
    )
    figure = Figure(
        "saturation",
        "Images a second by the number of callers; a table follows",
        chart([*layers, *captions(ends)], ROW * len(ends), marks),
        numbers=_levels(ends),
        listed=True,
    )
    return Section("saturation", "How much it answers at once", about_, [figure], short="Saturation")


def _levels(ends: Sequence[Spec]) -> Numbers:
    callers = sorted({streams for end in ends for streams, _ in end["levels"]})
    rows = []
    for end in ends:
        reached = dict(end["levels"])
        rows.append([end["line"], *(rate(reached[one]) if one in reached else NOTHING for one in callers)])
    heading = ["images/s with", *(f"{one} caller{'s' if one != 1 else ''}" for one in callers)]
    return Numbers("Images a second as a table", heading, rows)
