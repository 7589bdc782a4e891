"""How near each engine comes to what the machine can do at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.evidence import Bandwidth, Ceilings, Limit, Rate
from bench.page.charts.labels import LIMIT, WIDE, LabelRequest, label, place
from bench.page.charts.section import Figure, Numbers, Section, Spec
from bench.page.charts.spec import HOLLOW, by_role, chart, log_axis, names, one_two_five, role_of, tooltip
from bench.results import Results, Row
from bench.show.table import Line, Table
from bench.show.text import count, milliseconds, percent

HEIGHT = 380
BOUNDS = {"compute": "arithmetic", "memory": "memory", "launch": "kernel launches"}


@dataclass(frozen=True)
class Mark:
    """A timed row with its limit: operations for a byte, operations a second, share of the limit."""

    name: str
    role: str
    row: Row
    limit: Limit
    p50: float
    shipped: bool

    @property
    def intensity(self) -> float:
        """Operations for each byte that has to be moved."""
        return self.limit.flops / self.limit.bytes

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.limit.flops / (self.p50 / 1e3)

    @property
    def reached(self) -> float:
        """Share of the limit."""
        return self.limit.floor_ms / self.p50


def section(table: Table, results: Results, shipped: Line | None) -> Section | None:
    """A plot for each kind of device, and the shares as a table. None when no row has a limit.

    A control is the same work as its student.
    """
    known = names(table.lines)
    students = {line.group for line in table.lines if line.role == "student"}
    lines = [line for line in table.lines if line.role != "control" or line.group not in students]
    marks = [
        Mark(known[id(line)], role_of(line), row, row.limit, row.timing.p50_ms, line is shipped)
        for line in lines
        for row in line.rows
        if row.limit and row.limit.flops and row.timing
    ]
    if not marks:
        return None
    figures = []
    if results.ceilings:
        kinds = list(dict.fromkeys(_kind(mark.row.engine.device) for mark in marks))
        for kind in kinds:
            here = [mark for mark in marks if _kind(mark.row.engine.device) == kind]
            label = "Operations a second against operations for a byte; a table follows"
            figures.append(Figure(f"roofline-{kind}", label, _plot(here, results.ceilings, kind), _title(kind, kinds)))
    marks.sort(key=lambda mark: -mark.reached)
    rows = [
        [
            mark.name,
            str(mark.row.batch),
            milliseconds(mark.p50),
            milliseconds(mark.limit.floor_ms),
            percent(mark.reached),
            BOUNDS[mark.limit.bound],
        ]
        for mark in marks
    ]
    heading = ["engine", "batch", "p50", "least possible", "of the limit", "limited by"]
    about = (
        "Lines are the most that this machine was seen to do: level ones its arithmetic, slanted ones its memory. The "
        "gap between an engine and the lowest line above it is what is still to be had. A pale line leads from an "
        "engine's smallest batch to its largest."
    )
    if not figures:
        about = "The least time that a call can take on this machine, and the share of it that was reached."
    numbers = Numbers("Shares of the limit", heading, rows, text=(0, 5), folded=bool(figures))
    return Section(
        "roofline", "How near it is to the limit", about, figures, numbers, roles=bool(figures), short="Roofline"
    )


def _kind(device: str) -> str:
    return device.partition(":")[0]


def _title(kind: str, kinds: Sequence[str]) -> str:
    return "" if len(kinds) == 1 else {"cpu": "CPU", "cuda": "GPU"}.get(kind, kind)


def _used(marks: Sequence[Mark], ceilings: Ceilings, kind: str) -> tuple[list[Rate], list[Bandwidth]]:
    """The ceilings of the threads that the rows use; all of the device's, where none is of so many threads."""
    threads = {mark.row.engine.threads for mark in marks}
    precisions = {mark.row.engine.precision for mark in marks}
    rates = [rate for rate in ceilings.rates if _kind(rate.device) == kind]
    bandwidths = [one for one in ceilings.bandwidths if _kind(one.device) == kind]
    most = max((rate.threads for rate in rates), default=1)
    wanted = {one or most for one in threads} & {rate.threads for rate in rates} or {most}
    return (
        [rate for rate in rates if rate.threads in wanted and rate.precision in precisions]
        or [rate for rate in rates if rate.threads in wanted],
        _slowest_and_fastest([one for one in bandwidths if one.threads in wanted] or bandwidths),
    )


def _slowest_and_fastest(bandwidths: Sequence[Bandwidth]) -> list[Bandwidth]:
    """For each number of threads main memory, and the fastest cache: between the two lies every other working set."""
    found = []
    for threads in sorted({one.threads for one in bandwidths}):
        for memory in (True, False):
            here = [one for one in bandwidths if one.threads == threads and (one.working_set is None) == memory]
            if here:
                found.append(max(here, key=lambda one: one.bytes_per_second))
    return found


def _plot(marks: Sequence[Mark], ceilings: Ceilings, kind: str) -> Spec:
    rates, bandwidths = _used(marks, ceilings, kind)
    widest = max((one.bytes_per_second for one in bandwidths), default=None)
    ridges = [rate.flops_per_second / widest for rate in rates] if widest else []
    # Half a decade around what is drawn, so that ridges and labels have room.
    left = min([mark.intensity for mark in marks] + ridges) / 3
    right = max([mark.intensity for mark in marks] + ridges) * 3
    low = min(mark.rate for mark in marks) / 2
    high = max([mark.rate for mark in marks] + [rate.flops_per_second for rate in rates]) * 2
    x = _log("intensity", "operations for a byte (log)", (left, right))
    y = _log("rate", "operations a second (log)", (low, high))
    several = len({rate.threads for rate in rates} | {one.threads for one in bandwidths}) > 1
    roofs, slopes, words = _ceilings(rates, bandwidths, (left, right), (low, high), several)
    line = {"type": "rule", "color": "var(--soft)", "strokeWidth": 1.25, "clip": True}
    ends = {"x": x, "y": y, "x2": {"field": "intensity_2"}, "y2": {"field": "rate_2"}}
    text = {"type": "text", "fontSize": 12, "color": "var(--soft)", "clip": False}
    layers: list[Spec] = [
        {"data": {"values": roofs + slopes}, "mark": line, "encoding": ends},
        {
            "data": {"values": _grown(marks)},
            "mark": {"type": "rule", "strokeWidth": 1.25, "opacity": 0.35},
            "encoding": {**ends, **by_role("color")},
        },
        {
            "data": {"values": [word for word in words if word["end"] == "right"]},
            "mark": {**text, "align": "right", "dy": -8},
            "encoding": {"x": x, "y": y, "text": {"field": "text"}},
        },
        {
            "data": {"values": [word for word in words if word["end"] == "left"]},
            "mark": {**text, "align": "left", "dx": 8, "dy": 10},
            "encoding": {"x": x, "y": y, "text": {"field": "text"}},
        },
        {
            "mark": {"type": "point", "size": 70, "strokeWidth": 1.75, "opacity": 0.9},
            "encoding": {
                "x": x,
                "y": y,
                **by_role("shape", "stroke", "fill"),
                **HOLLOW,
                **tooltip(
                    ("name", "engine"),
                    ("batch", "batch"),
                    ("time", "p50"),
                    ("reached", "of the limit"),
                    ("bound", "limited by"),
                ),
            },
        },
    ]
    layers += _name(marks, (left, right), (low, high), x, y)
    return chart(layers, HEIGHT, [_point(mark) for mark in marks])


def _name(marks: Sequence[Mark], across: tuple[float, float], up: tuple[float, float], x: Spec, y: Spec) -> list[Spec]:
    """The name of what is shipped, where there is room for it on a wide page."""

    def at(mark: Mark) -> tuple[float, float]:
        share = math.log(mark.intensity / across[0]) / math.log(across[1] / across[0])
        return share * WIDE, HEIGHT * (1 - math.log(mark.rate / up[0]) / math.log(up[1] / up[0]))

    points = [at(mark) for mark in marks]
    for mark in sorted((mark for mark in marks if mark.shipped), key=lambda mark: -mark.row.batch):
        text = f"{mark.name} · ship"
        where = place([LabelRequest(text, *at(mark), text)], points, WIDE, HEIGHT).get(text)
        if where is not None:
            return [label({"intensity": mark.intensity, "rate": mark.rate}, text, where, f"width >= {LIMIT}", x, y)]
    return []


def _log(field: str, title: str, domain: tuple[float, float]) -> Spec:
    ticks = one_two_five(*domain)
    wide = domain[1] / domain[0] > 200
    ticks = [tick for tick in ticks if f"{tick:e}"[0] == "1"] if wide else ticks
    return log_axis(field, title, ticks, domain, format="~s")


def _point(mark: Mark) -> Spec:
    return {
        "name": mark.name,
        "role": mark.role,
        "batch": mark.row.batch,
        "intensity": mark.intensity,
        "rate": mark.rate,
        "time": milliseconds(mark.p50),
        "reached": percent(mark.reached),
        "bound": BOUNDS[mark.limit.bound],
    }


def _grown(marks: Sequence[Mark]) -> list[Spec]:
    """From each engine's smallest batch to its largest."""
    by_name: dict[str, list[Mark]] = {}
    for mark in marks:
        by_name.setdefault(mark.name, []).append(mark)
    lines = []
    for several in by_name.values():
        first, last = (pick(several, key=lambda mark: mark.row.batch) for pick in (min, max))
        ends = {"intensity": first.intensity, "rate": first.rate}
        lines.append({**ends, "intensity_2": last.intensity, "rate_2": last.rate, "role": first.role})
    return lines


def _much(number: float) -> str:
    return f"{count(number / 1e3).removesuffix(' G')} T" if number >= 0.9995e12 else count(number)


def _ceilings(
    rates: Sequence[Rate],
    bandwidths: Sequence[Bandwidth],
    across: tuple[float, float],
    up: tuple[float, float],
    several: bool,
) -> tuple[list[Spec], list[Spec], list[Spec]]:
    """Level lines from the ridge to the right edge, slanted ones from the bottom to the highest ridge, their words."""
    (left, right), (low, _) = across, up
    best = {
        threads: max(one.bytes_per_second for one in bandwidths if one.threads == threads)
        for threads in {one.threads for one in bandwidths}
    }
    top = max((rate.flops_per_second for rate in rates), default=up[1])
    roofs, slopes, words = [], [], []
    for rate in rates:
        width = best.get(rate.threads) or max(best.values(), default=None)
        ridge = max(rate.flops_per_second / width, left) if width else left
        level = rate.flops_per_second
        roofs.append({"intensity": ridge, "rate": level, "intensity_2": right, "rate_2": level})
        threads = f", {rate.threads} thread{'s' if rate.threads != 1 else ''}" if several else ""
        text = f"{rate.precision}{threads}: {_much(level)}/s"
        words.append({"intensity": right, "rate": level, "text": text, "end": "right"})
    for one in bandwidths:
        width = one.bytes_per_second
        start = max(left, low / width)
        reach = max((rate.flops_per_second for rate in rates if rate.threads == one.threads), default=top)
        slopes.append({"intensity": start, "rate": start * width, "intensity_2": reach / width, "rate_2": reach})
        threads = f", {one.threads} thread{'s' if one.threads != 1 else ''}" if several else ""
        lowest = min((rate.flops_per_second for rate in rates), default=reach)
        middle = (start * max(start, lowest / width)) ** 0.5
        text = f"{'memory' if one.working_set is None else 'cache'}{threads}: {count(width)}B/s"
        words.append({"intensity": middle, "rate": middle * width, "text": text, "end": "left"})
    return roofs, slopes, words
