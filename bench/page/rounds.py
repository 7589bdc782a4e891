"""The rounds of one row in the order in which they were measured: drift, steps and interruptions are seen."""

from __future__ import annotations

from bench.page.charts.section import Spec
from bench.page.charts.spec import chart, tooltip
from bench.results import NS_PER_MS, Timing
from bench.show.text import milliseconds
from bench.stats import median

MOST = 240  # points: with more, neighbouring rounds share one


def datasets(timing: Timing) -> Spec:
    """The datasets that `drawing` asks for: `rounds`, and `about` with p50 and its interval."""
    each = -(-len(timing.rounds_ns) // MOST)
    rounds: list[Spec] = []
    for first in range(0, len(timing.rounds_ns), each):
        medians = [median(calls) for calls in timing.rounds_ns[first : first + each]]
        calls = [call for calls in timing.rounds_ns[first : first + each] for call in calls]
        ms, low, high = (float(f"{ns / NS_PER_MS:.4g}") for ns in (median(medians), min(calls), max(calls)))
        told = f"{milliseconds(low)} to {milliseconds(high)}"
        rounds.append({"round": first + 1, "ms": ms, "low": low, "high": high, "text": milliseconds(ms), "range": told})
    low_ms, high_ms = timing.p50_interval_ms or (timing.p50_ms, timing.p50_ms)
    # A call that waited for the scheduler is worth a mark up to the edge, not the whole height of the plot.
    top = max(1.1 * max(point["ms"] for point in rounds), 1.5 * timing.p50_ms)
    shown = [{**point, "high": round(min(point["high"], top), 4)} for point in rounds]
    return {"rounds": shown, "about": [{"p50": timing.p50_ms, "low": low_ms, "high": high_ms}]}


def drawing() -> Spec:
    """Dots for the rounds' medians on lines from their fastest to their slowest call; p50 and its interval behind."""
    x = {
        "field": "round",
        "type": "quantitative",
        "scale": {"nice": False, "zero": False, "padding": 6},
        "axis": {"title": "round", "grid": False, "format": "d", "tickMinStep": 1, "tickCount": 6},
    }
    y = {
        "field": "ms",
        "type": "quantitative",
        "scale": {"zero": False, "nice": False},
        "axis": {"title": "ms", "tickCount": 4, "format": "~r"},
    }
    about: Spec = {"data": {"name": "about"}}
    layers: list[Spec] = [
        {**about, "mark": {"type": "rect", "color": "var(--student)", "opacity": 0.14}}
        | {"encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}}},
        {**about, "mark": {"type": "rule", "color": "var(--student)", "strokeWidth": 1.25}}
        | {"encoding": {"y": {**y, "field": "p50"}}},
        {
            "mark": {"type": "rule", "color": "var(--soft)", "opacity": 0.45, "strokeWidth": 1},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 22, "opacity": 1, "color": "var(--ink)"},
            "encoding": {
                "x": x,
                "y": y,
                **tooltip(("round", "round"), ("text", "median"), ("range", "fastest to slowest")),
            },
        },
    ]
    return {**chart(layers, 130), "data": {"name": "rounds"}}
