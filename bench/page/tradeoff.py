"""What speed costs in accuracy: every engine as a point, the Pareto front, families joined by lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases import EAGER, is_engine
from bench.page.charts.labels import LIMIT, NARROW, WIDE, LabelRequest, label, place
from bench.page.charts.section import Figure, Numbers, Section, Spec
from bench.page.charts.spec import HOLLOW, by_role, chart, log_axis, one_two_five, role_of, tooltip
from bench.results import Accuracy
from bench.show.table import Line, Table
from bench.show.text import columns, factor, milliseconds

HEIGHT, MARGIN = 400, 36  # pixels: of the plot, and between its edge and the outermost point


@dataclass(frozen=True)
class Dot:
    """A line that has both numbers. `rank`: of its accuracy, lower is better."""

    line: Line
    p50: float
    accuracy: Accuracy

    @property
    def engine(self) -> tuple[object, ...]:
        """What runs it, with which settings."""
        engine = self.line.engine
        return engine.backend, engine.precision, engine.device, engine.threads, self.line.variant


def dots(table: Table) -> list[Dot]:
    """The lines with a time and an accuracy."""
    return [Dot(line, line.p50_ms, line.accuracy) for line in table.lines if line.p50_ms and line.accuracy]


def front(found: Sequence[Dot]) -> list[Dot]:
    """Those that no other beats in both: from the fastest to the most accurate.

    Controls are left out. Each is the network of its student, so that it is faster by chance alone.
    """
    kept: list[Dot] = []
    offered = [dot for dot in found if dot.line.role != "control"] or found
    for dot in sorted(offered, key=lambda dot: (dot.p50, dot.accuracy.rank)):
        if not kept or dot.accuracy.rank < kept[-1].accuracy.rank - 1e-9:
            kept.append(dot)
    return kept


def section(table: Table, shipped: Line | None) -> Section | None:
    """The plot, and its front as a table. None when no line has both numbers."""
    found = dots(table)
    if not found:
        return None
    best = front(found)
    about = (
        "Up and to the left is better. The staircase is the Pareto front: nothing on offer is both faster and more "
        "accurate than the engines on it. "
    )
    if _pairs(found):
        about += (
            "A solid line leads from each control to the student that is the same network, trained with the teacher's "
            "answers: its height is what distillation brought. "
        )
    if _descents(found):
        about += "A dotted line leads from the teacher to the fastest engine of each student."
    label = "Accuracy against p50; the numbers are those of the tables of the front and of the engines"
    figure = Figure("tradeoff", label, _plot(table, found, best, shipped))
    heading = next(column.heading for column in columns(table) if column.key == "accuracy")
    numbers = Numbers(
        "The front, from the fastest to the most accurate",
        ["engine", f"p50, batch\u00a0{table.latency_batch}", heading, "against the row above"],
        [_step(dot, best[place - 1] if place else None) for place, dot in enumerate(best)],
        folded=False,
    )
    return Section(
        "tradeoff", "What speed costs in accuracy", about.strip(), [figure], numbers, roles=True, short="Trade-off"
    )


def _step(dot: Dot, before: Dot | None) -> list[str]:
    gain = "–"
    if before is not None:
        more = before.accuracy.lost(dot.accuracy)
        unit = "points" if dot.accuracy.unit == "%" else dot.accuracy.unit
        gain = f"{abs(more):.2f} {unit} better for {factor(dot.p50 / before.p50)} the time"
    return [f"{dot.line.model} · {dot.line.how}", milliseconds(dot.p50), dot.accuracy.shown, gain]


def _pairs(found: Sequence[Dot]) -> list[tuple[Dot, Dot]]:
    """Each control with the student of its group on the same engine."""
    students = {(dot.line.group, dot.engine): dot for dot in found if dot.line.role == "student" and dot.line.group}
    controls = [dot for dot in found if dot.line.role == "control"]
    return [(dot, students[key]) for dot in controls if (key := (dot.line.group, dot.engine)) in students]


def _owner(found: Sequence[Dot]) -> Dot | None:
    """The teacher as its owner runs it, or else its fastest engine; None when it is not plain who taught whom."""
    teachers = [dot for dot in found if dot.line.role == "teacher"]
    if len({dot.line.model for dot in teachers}) != 1:
        return None
    eager = [dot for dot in teachers if dot.line.engine.backend == EAGER]
    return min(eager or teachers, key=lambda dot: dot.p50)


def _descents(found: Sequence[Dot]) -> list[tuple[Dot, Dot]]:
    """The teacher with the fastest of our engines of each student."""
    teacher = _owner(found)
    fastest: dict[str, Dot] = {}
    for dot in sorted(found, key=lambda dot: dot.p50):
        if dot.line.role == "student" and is_engine(dot.line.engine.backend):
            fastest.setdefault(dot.line.model, dot)
    return [(teacher, dot) for dot in fastest.values()] if teacher else []


def _plot(table: Table, found: Sequence[Dot], best: Sequence[Dot], shipped: Line | None) -> Spec:
    x_domain, y_domain = _domains(found)
    ticks = one_two_five(*x_domain)
    x = log_axis("p50", f"p50 at batch {table.latency_batch}, ms (log)", ticks, x_domain)
    unit = found[0].accuracy.unit
    write = "datum.value > 100 ? '' : datum.label + ' %'" if unit == "%" else f"datum.label + ' {unit}'"
    y = {
        "field": "accuracy",
        "type": "quantitative",
        "scale": {"domain": y_domain, "zero": False, "nice": False, "reverse": found[0].accuracy.rank > 0},
        "axis": {"title": None, "labelExpr": write, "tickCount": 6},
    }
    stairs = [{"p50": dot.p50, "accuracy": dot.accuracy.height} for dot in best]
    stairs.append({"p50": x_domain[1], "accuracy": best[-1].accuracy.height})
    layers: list[Spec] = [
        {
            "data": {"values": stairs},
            "mark": {"type": "line", "interpolate": "step-after", "color": "var(--soft)", "strokeWidth": 1.25},
            "encoding": {"x": x, "y": y},
        },
        _joined(_descents(found), x, y, {"color": "var(--teacher)", "strokeDash": [1, 5], "strokeCap": "round"}),
        _joined(_pairs(found), x, y, {"color": "var(--student)", "strokeDash": [1, 0]}),
        {
            "mark": {"type": "point", "size": 110, "strokeWidth": 2, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                **by_role("shape", "stroke", "fill"),
                **HOLLOW,
                # What is off the front steps back, so that the choice stands out.
                "opacity": {"field": "strength", "type": "quantitative", "scale": None, "legend": None},
                **tooltip(
                    ("model", "model"), ("role", "role"), ("engine", "engine"), ("share", "accuracy"), ("time", "p50")
                ),
            },
        },
    ]
    requests = _requests(found, best, shipped)
    for width, test in ((WIDE, f"width >= {LIMIT}"), (NARROW, f"width < {LIMIT}")):
        layers += _labels(requests, found, (x_domain, y_domain), width, test, x, y)
    front_of = {id(dot) for dot in best}
    return chart(layers, HEIGHT, [_point(dot, id(dot) in front_of) for dot in found])


def _domains(found: Sequence[Dot]) -> tuple[tuple[float, float], tuple[float, float]]:
    times, heights = [dot.p50 for dot in found], [dot.accuracy.height for dot in found]
    low, high = min(heights), max(heights)
    span = high - low or max(1.0, high * 0.02)
    room = span * MARGIN / (HEIGHT - 2 * MARGIN)
    return (min(times) / 1.4, max(times) * 1.4), (low - room, high + room)


def _point(dot: Dot, on_front: bool) -> Spec:
    return {
        "model": dot.line.model,
        "role": role_of(dot.line),
        "engine": dot.line.how,
        "p50": dot.p50,
        "accuracy": dot.accuracy.height,
        "time": milliseconds(dot.p50),
        "share": dot.accuracy.shown,
        "strength": 1 if on_front else 0.5,
    }


def _joined(pairs: Sequence[tuple[Dot, Dot]], x: Spec, y: Spec, look: Spec) -> Spec:
    values = [
        {"p50": one.p50, "accuracy": one.accuracy.height, "p50_2": other.p50, "accuracy_2": other.accuracy.height}
        for one, other in pairs
    ]
    return {
        "data": {"values": values},
        "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6, **look},
        "encoding": {"x": x, "y": y, "x2": {"field": "p50_2"}, "y2": {"field": "accuracy_2"}},
    }


def _requests(found: Sequence[Dot], best: Sequence[Dot], shipped: Line | None) -> list[tuple[Dot, str, str]]:
    """(point, label on a wide page, label on a phone), the most wanted first: what to ship, the front, the teacher as
    it is today, then the fastest engine of every other network.
    """
    requests: list[tuple[Dot, str, str]] = []
    named: set[str] = set()

    def request(dot: Dot, short: str, extra: str = "") -> None:
        if any(dot is known for known, _, _ in requests):
            return
        engine = dot.line.engine
        named.add(dot.line.model)
        requests.append((dot, f"{dot.line.model} {engine.precision} {engine.backend}{extra}", short))

    for dot in found:
        if dot.line is shipped:
            request(dot, f"ship {dot.line.model}", " · ship")
    teacher = _owner(found)
    if teacher and teacher.line.engine.backend == EAGER:
        named.add(teacher.line.model)
        requests.append((teacher, f"{teacher.line.model}, eager", "eager"))
    for dot in best:
        request(dot, f"{dot.line.model} {dot.line.engine.precision}")
    for control, _ in _pairs(found):
        if control.line.model not in named:
            named.add(control.line.model)
            requests.append((control, control.line.model, "control"))
    for dot in sorted(found, key=lambda dot: dot.p50):
        if dot.line.model not in named:
            request(dot, dot.line.model)
    return requests


def _labels(
    requests: Sequence[tuple[Dot, str, str]],
    found: Sequence[Dot],
    domains: tuple[tuple[float, float], tuple[float, float]],
    width: int,
    test: str,
    x: Spec,
    y: Spec,
) -> list[Spec]:
    """A text for each request that has room at this width, shown while `test` holds."""
    (left, right), (low, high) = domains
    worse_up = found[0].accuracy.rank > 0

    def at(dot: Dot) -> tuple[float, float]:
        across = math.log(dot.p50 / left) / math.log(right / left)
        up = (dot.accuracy.height - low) / (high - low)
        return across * width, HEIGHT * (up if worse_up else 1 - up)

    texts = {str(number): (dot, wide if width == WIDE else short) for number, (dot, wide, short) in enumerate(requests)}
    # Lines lead upwards from a control, so that its name stands below.
    wanted = [LabelRequest(key, *at(dot), text, dot.line.role == "control") for key, (dot, text) in texts.items()]
    places = place(wanted, [at(dot) for dot in found], width, HEIGHT)
    return [
        label({"p50": dot.p50, "accuracy": dot.accuracy.height}, text, where, test, x, y)
        for key, (dot, text) in texts.items()
        if (where := places.get(key))
    ]
