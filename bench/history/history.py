"""A folder of results over time: a page with a line for each thing measured, and marks where it took a step.

Advisory. It finds what creeps in below the gate's tolerance, commit by commit; a step may as well be the machine's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.gate.from_results import called, key_of
from bench.gate.receipt import save
from bench.gate.verdict import signed
from bench.page.charts.section import Spec
from bench.page.charts.spec import CONFIG, SCHEMA
from bench.page.report import chart_library, script_json, templates
from bench.results import Results, Timing, read_results
from bench.show.text import milliseconds
from bench.stats import change_points, mean
from zoo.errors import InputError
from zoo.progress import note

TEMPLATE = "history.html.j2"
LEAST = 0.02  # smaller steps are noise on most machines


@dataclass(frozen=True)
class Step:
    """A change point: the first results after it, and by which share the mean changed."""

    place: int
    change: float


@dataclass(frozen=True)
class Series:
    """One (model, engine, batch, scope) on one machine, oldest first."""

    title: str
    host: str
    dates: Sequence[str]
    timings: Sequence[Timing]
    files: Sequence[str]
    steps: Sequence[Step]
    absent: Sequence[str] = ()  # in words: from when on, or until when, the machine's results do not have it

    def words(self) -> list[str]:
        """The steps in words; none for most."""
        return [
            f"{self.dates[step.place]} ({self.files[step.place]}): {signed(step.change)}, "
            f"to {milliseconds(self.timings[step.place].p50_ms)}"
            for step in self.steps
        ]


def read_folder(folder: Path) -> list[tuple[str, Results]]:
    """The results of a folder by file name, oldest first. A file that is none is named on stderr and left out."""
    if not folder.is_dir():
        raise InputError(f"no such folder of results: {folder}")
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append((file.name, read_results(file)))
        except InputError as error:
            note(f"left out: {error}")
    if not found:
        raise InputError(f"{folder} holds no results that `zoo bench run -o` wrote")
    return sorted(found, key=lambda pair: pair[1].created)


def history(found: Sequence[tuple[str, Results]]) -> list[Series]:
    """A series for each row that was ever measured, in the order of its first appearance; machines are kept apart.

    A series that begins after the machine's first results, or ends before its last ones, says so: it was added,
    removed, renamed, or it fails.
    """
    rows: dict[tuple[object, ...], list[tuple[str, Results, Timing]]] = {}
    titles: dict[tuple[object, ...], str] = {}
    for name, results in found:
        for row in results.rows:
            if row.timing is None:
                continue
            key = (*key_of(row), results.host.fingerprint)
            rows.setdefault(key, []).append((name, results, row.timing))
            titles[key] = f"{row.model} · {row.engine.text} · batch {row.batch} · {called(row)}"
    return [_series(titles[key], values, _absent(values, found)) for key, values in rows.items()]


def _absent(values: Sequence[tuple[str, Results, Timing]], found: Sequence[tuple[str, Results]]) -> list[str]:
    """What the other results of the same machine say of a series, which holds every time of one row."""
    host, names = values[0][1].host.fingerprint, {name for name, _, _ in values}
    here = [name for name, results in found if results.host.fingerprint == host]
    first, last = (here.index(values[place][0]) for place in (0, -1))
    words = []
    if first:
        words.append(f"new in {here[first]}: the results before it ({first}) do not have it")
    if later := here[last + 1 :]:
        words.append(f"missing since {later[0]}: the latest results ({len(later)}) have no time of it")
    if holes := [name for name in here[first:last] if name not in names]:
        words.append(f"missing in {', '.join(holes)}")
    return words


def _series(title: str, values: Sequence[tuple[str, Results, Timing]], absent: Sequence[str]) -> Series:
    logs = [math.log(timing.p50_ms) for _, _, timing in values]
    places = change_points(logs, least=LEAST)
    ends = [0, *places, len(logs)]
    means = [mean(logs[start:end]) for start, end in pairwise(ends)]
    changes = [math.expm1(after - before) for before, after in pairwise(means)]
    return Series(
        title=title,
        host=values[0][1].host.summary,
        dates=[f"{results.created:%Y-%m-%d %H:%M}" for _, results, _ in values],
        timings=[timing for _, _, timing in values],
        files=[name for name, _, _ in values],
        steps=[Step(*both) for both in zip(places, changes, strict=True)],
        absent=absent,
    )


def write_page(series: Sequence[Series], path: Path) -> None:
    """One self-contained HTML file. `EnvironmentProblem` when a package is missing or the disk refuses."""
    page = (
        templates("the history page")
        .get_template(TEMPLATE)
        .render(series=series, specs=[chart(each) for each in series], script_json=script_json, library=chart_library())
    )
    save(path, page)


def chart(series: Series) -> Spec:
    """p50 with its interval over the results in their order, and a rule at each step."""
    values = [_value(series, place) for place in range(len(series.timings))]
    stride = max(1, math.ceil(len(values) / 12))
    x = {
        "field": "place",
        "type": "quantitative",
        "scale": {"nice": False, "domain": [-0.5, len(values) - 0.5]},
        "axis": {
            "title": "results, oldest first",
            "values": list(range(0, len(values), stride)),
            "format": "d",
            "grid": False,
        },
    }
    y = {"field": "p50", "type": "quantitative", "scale": {"zero": False}, "axis": {"title": "p50, ms", "tickCount": 5}}
    tip = [{"field": key, "title": key} for key in ("file", "date", "time")]
    steps = [{"place": step.place - 0.5, "text": signed(step.change)} for step in series.steps]
    at = {"field": "place", "type": "quantitative"}
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": 180,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "rule", "color": "var(--soft)", "opacity": 0.6},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {"mark": {"type": "line", "color": "var(--student)", "strokeWidth": 1.5}, "encoding": {"x": x, "y": y}},
            {
                "mark": {"type": "point", "filled": True, "size": 45, "color": "var(--student)", "opacity": 1},
                "encoding": {"x": x, "y": y, "tooltip": tip},
            },
            {
                "data": {"values": steps},
                "mark": {"type": "rule", "color": "var(--teacher)", "strokeDash": [5, 3], "strokeWidth": 1.5},
                "encoding": {"x": at},
            },
            {
                "data": {"values": steps},
                "mark": {"type": "text", "align": "center", "color": "var(--teacher)", "fontSize": 12},
                "encoding": {"x": at, "y": {"value": -7}, "text": {"field": "text"}},
            },
        ],
    }


def _value(series: Series, place: int) -> dict[str, Any]:
    timing = series.timings[place]
    low, high = timing.p50_interval_ms or (timing.p50_ms, timing.p50_ms)
    return {
        "place": place,
        "file": series.files[place],
        "date": series.dates[place],
        "p50": timing.p50_ms,
        "low": low,
        "high": high,
        "time": milliseconds(timing.p50_ms),
    }


def data(series: Sequence[Series]) -> list[dict[str, Any]]:
    """The series as data."""
    return [
        {
            "row": each.title,
            "host": each.host,
            "files": list(each.files),
            "p50_ms": [timing.p50_ms for timing in each.timings],
            "steps": [{"file": each.files[step.place], "change": step.change} for step in each.steps],
            "absent": list(each.absent),
        }
        for each in series
    ]


def text(series: Sequence[Series]) -> str:
    """For a terminal: each series in a line, its steps below it."""
    lines = []
    for each in series:
        first, last = (milliseconds(each.timings[place].p50_ms) for place in (0, -1))
        lines += [
            f"{each.title}: {len(each.timings)} results, {first} -> {last}",
            *(f"  step at {words}" for words in each.words()),
            *(f"  {words}" for words in each.absent),
        ]
    return "\n".join([*lines, "", "Advisory: a step may be the machine's. For a verdict: zoo bench gate."]) + "\n"
