"""The gate's receipt as a forest plot: for everything measured, between what its change lies, and the verdict."""

from __future__ import annotations

from bench.gate.receipt import Receipt
from bench.gate.show import ABOUT, one_sided, parts
from bench.gate.verdict import absent, key_of, plain, signed
from bench.page.charts.section import Figure, Numbers, Section, Spec
from bench.page.charts.spec import ROW, captions, chart, listed, tooltip

COLOURS = {
    "domain": ["pass", "fail", "inconclusive"],
    "range": ["var(--student)", "var(--teacher)", "var(--control)"],
}


def section(receipt: Receipt, fingerprint: str) -> Section:
    """The whole receipt; `fingerprint`: of the host of the page's other numbers."""
    label = "Changes with their intervals; a table follows"
    figures = [Figure("gate", label, _forest(receipt), listed=True)] if _values(receipt) else []
    rule = receipt.config
    about = (
        f"{receipt.candidate} against {receipt.baseline}, {receipt.created:%Y-%m-%d %H:%M} UTC: "
        f"{ABOUT[receipt.verdict]}. "
        "A dot is the change, its line what the change lies between. Fail: the whole line is right of "
        f"{signed(rule.tolerance)}. Pass: the whole line is left of {signed(rule.target)}."
    )
    notes = one_sided(receipt)
    if receipt.host.fingerprint != fingerprint:
        notes.append(f"The gate ran on another machine than the rest of this page: {receipt.host.summary}.")
    if receipt.injected:
        notes.append(f"The candidate was slowed down by {plain(receipt.injected)} on purpose.")
    if receipt.throttled:
        notes.append(f"The CPU quota of its control group ran out {receipt.throttled} times while it was measured.")
    return Section("gate", f"The gate: {receipt.verdict}", about, figures, _table(receipt), notes, short="Gate")


def _values(receipt: Receipt) -> list[Spec]:
    several = {part.metric for entry in receipt.entries for part in entry.measured} != {"time"}
    return [
        {
            "line": entry.title + (f" · {part.metric}" if several else ""),
            "change": part.change,
            "low": part.low,
            "high": part.high,
            "verdict": part.verdict,
            "text": f"{part.verdict} {signed(part.change)}",
            "between": f"{signed(part.low)} to {signed(part.high)}",
            "tolerance": part.tolerance,
            "target": part.target,
        }
        for entry in receipt.entries
        for part in entry.measured
        if part.change is not None and part.low is not None and part.high is not None
    ]


def _forest(receipt: Receipt) -> Spec:
    values = _values(receipt)
    # One hopeless interval must not make a line of all the others: what is beyond the edge is cut off.
    reach = sorted(max(abs(value["low"]), abs(value["high"])) for value in values)
    most = max(2.2 * receipt.config.target, min(reach[-1], 3 * reach[len(reach) // 2])) * 1.08
    x = {
        "field": "change",
        "type": "quantitative",
        "scale": {"domain": [-most, most], "nice": False, "clamp": True},
        "axis": {"title": "change against the baseline (right: worse)", "format": "+.0%" if most > 0.04 else "+.1%"}
        | {"tickCount": 7, "grid": False},
    }
    y = listed(values)
    colour = {"color": {"field": "verdict", "type": "nominal", "scale": COLOURS, "legend": None}}
    rule = {"type": "rule", "strokeWidth": 1.25, "color": "var(--soft)"}
    limits: list[Spec] = [
        {"data": {"values": [{"change": at}]}, "mark": {**rule, **look}, "encoding": {"x": x}}
        for at, look in (
            (0, {"color": "var(--line)"}),
            (receipt.config.tolerance, {"strokeDash": [2, 3]}),
            (receipt.config.target, {"strokeDash": [6, 3]}),
        )
    ]
    words: list[Spec] = [
        {
            "data": {"values": [{"change": at, "text": text}]},
            "mark": {"type": "text", "fontSize": 11, "color": "var(--soft)", "align": align, "dx": dx},
            "encoding": {"x": x, "y": {"value": -8}, "text": {"field": "text"}},
        }
        for at, text, align, dx in (
            (receipt.config.tolerance, f"fail right of {plain(receipt.config.tolerance)}", "right", 0),
            (receipt.config.target, f"pass left of {plain(receipt.config.target)}", "left", 0),
        )
    ]
    told = tooltip(("line", "benchmark"), ("text", "change"), ("between", "lies between"))
    layers: list[Spec] = [
        *limits,
        *words,
        {
            "mark": {"type": "rule", "strokeWidth": 2.5, "yOffset": 8},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, **colour, **told},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "yOffset": 8},
            "encoding": {"x": x, "y": y, **colour, **told},
        },
        *captions(values),
    ]
    return chart(layers, ROW * len(values), values)


def _table(receipt: Receipt) -> Numbers:
    rows = []
    for entry, part in parts(receipt):
        interval = getattr(part, "low", None) is not None
        between = f"{signed(part.low)} to {signed(part.high)}" if interval else "–"  # type: ignore[union-attr]
        change = signed(part.change) if interval else "–"  # type: ignore[union-attr]
        rows.append([entry.title, key_of(part), part.verdict, change, between, part.reason])
    rows += [[entry.title, "–", "error", "–", "–", entry.error] for entry in receipt.entries if entry.error]
    rows += [[each.name, "–", "missing", "–", "–", absent(each)] for each in receipt.missing]
    rows += [[name, "–", "new", "–", "–", "new in the candidate"] for name in receipt.appeared]
    heading = ["benchmark", "what", "verdict", "change", "lies between", "reason"]
    return Numbers("Everything that was judged", heading, rows, text=(0, 1, 2, 5), folded=False)
