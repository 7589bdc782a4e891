"""How big each network is: parameters, MACs, bytes on disk."""

from __future__ import annotations

from collections.abc import Callable

from bench.cases import EAGER, PEERS
from bench.page.charts.section import Figure, Section, Spec
from bench.page.charts.spec import bars, role_of
from bench.show.table import Line, Table
from bench.show.text import count, size


def section(table: Table) -> Section | None:
    """Bars on log scales. A control is the same network as its student, and a peer the same as the bundle's."""
    students = {line.group for line in table.lines if line.role == "student"}
    lines = [line for line in table.lines if line.role != "control" or line.group not in students]
    ours = [line for line in lines if line.engine.backend not in PEERS] or lines
    found = [
        _figure("Parameters", ours, lambda line: line.parameters, lambda line: line.model, count),
        _figure("Multiply-accumulates for one image", ours, lambda line: line.macs, lambda line: line.model, count),
        _figure("Bytes on disk", ours, lambda line: line.bytes_on_disk, _file, size),
    ]
    figures = [figure for figure in found if figure is not None]
    about = "On logarithmic scales: each is from its own power of ten. A control is the same network as its student."
    return Section("sizes", "How big it is", about, figures, short="Size") if figures else None


def _file(line: Line) -> str:
    return f"{line.model} · {'checkpoint' if line.engine.backend == EAGER else line.engine.precision}"


def _figure(
    title: str,
    lines: list[Line],
    value: Callable[[Line], int | None],
    label: Callable[[Line], str],
    write: Callable[[float], str],
) -> Figure | None:
    found: dict[str, Spec] = {}
    for line in lines:
        if number := value(line):
            about = {"line": label(line), "role": role_of(line), "number": number}
            found.setdefault(label(line), {**about, "text": write(number), "exact": f"{number:,}"})
    if not found:
        return None
    key = "size-" + title.split()[0].lower()
    label_ = f"{title}; the numbers are those of the table of engines"
    return Figure(key, label_, bars(list(found.values()), "network", log=True), title)
