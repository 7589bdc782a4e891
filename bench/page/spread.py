"""How steady each engine is: its calls as multiples of their own median."""

from __future__ import annotations

from bench.page.charts.section import Figure, Section, Spec
from bench.page.charts.spec import ROW, by_role, captions, chart, listed, log_axis, names, role_of, tooltip
from bench.show.table import Table
from bench.show.text import milliseconds
from bench.stats import thin

SAMPLES = 120  # order statistics a line: more cannot be told apart on a screen
TICKS = (0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50)


def section(table: Table) -> Section | None:
    """A strip of calls for each line at the latency batch, fastest line first."""
    spec = distributions(table)
    if spec is None:
        return None
    about = (
        f"Each stroke is a call at batch {table.latency_batch} (evenly spaced quantiles where there are many), "
        "measured against its engine's own p50, which stands at the right. The dot is p50, the tall stroke p90."
    )
    label = "Distributions of latency; p50 and p90 are those of the table of engines"
    return Section("spread", "How steady it is", about, [Figure("spread", label, spec)], short="Spread")


def distributions(table: Table) -> Spec | None:
    """The chart; None when nothing was timed at the latency batch."""
    lines = sorted((line for line in table.lines if line.p50_ms is not None), key=lambda line: line.p50_ms or 0)
    known = names(lines)
    calls: list[Spec] = []
    marks: list[Spec] = []
    for line in lines:
        timing = next(row.timing for row in line.rows if row.batch == table.latency_batch and row.timing)
        about = {"line": known[id(line)], "role": role_of(line)}
        calls += [{**about, "times": round(ms / timing.p50_ms, 4)} for ms in thin(timing.calls_ms, SAMPLES)]
        numbers = {"times": 1, "p90": timing.p90_ms / timing.p50_ms, "calls": len(timing.calls_ms)}
        texts = {"text": milliseconds(timing.p50_ms), "p90_text": milliseconds(timing.p90_ms)}
        marks.append({**about, **numbers, **texts})
    if not lines:
        return None
    low, high = min(call["times"] for call in calls), max(call["times"] for call in calls)
    title = "time of a call, as a multiple of the engine's own p50 (log)"
    x = log_axis("times", title, [tick for tick in TICKS if low <= tick <= high], (low, high), padding=4)
    y = listed(marks)
    told = tooltip(("line", "engine"), ("text", "p50"), ("p90_text", "p90"), ("calls", "calls"))
    strips = {
        "mark": {"type": "tick", "orient": "vertical", "size": 12, "thickness": 1.5, "opacity": 0.45, "yOffset": 8},
        "encoding": {"x": x, "y": y, **by_role("color")},
    }
    ninety = {
        "data": {"values": marks},
        "mark": {"type": "tick", "orient": "vertical", "size": 18, "thickness": 2, "color": "var(--ink)", "yOffset": 8},
        "encoding": {"x": {**x, "field": "p90"}, "y": y, **told},
    }
    medians = {
        "data": {"values": marks},
        "mark": {"type": "point", "size": 55, "filled": True, "opacity": 1, "color": "var(--ink)", "yOffset": 8},
        "encoding": {"x": x, "y": y, **told},
    }
    return chart([strips, ninety, medians, *captions(marks)], ROW * len(lines), calls)
