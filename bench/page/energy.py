"""The energy of one image, or why it is not known."""

from __future__ import annotations

from bench.page.charts.section import Figure, Numbers, Section, Spec
from bench.page.charts.spec import bars, names, role_of
from bench.show.table import Table

SOURCES = {"nvml": "the GPU's own counter (NVML)", "rapl": "the processor's own counter (RAPL)"}


def joules(number: float) -> str:
    """Three significant digits in the unit that suits: `1.25 mJ`."""
    for limit, unit in ((1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")):
        if number >= 0.9995 * limit:
            return f"{number / limit:#.3g}".rstrip(".") + f" {unit}"
    return f"{number * 1e9:#.3g}".rstrip(".") + " nJ"


def section(table: Table) -> Section | None:
    """Bars of energy an image at the throughput batch, or one line. None when no row says anything about it."""
    known = names(table.lines)
    values: list[Spec] = []
    reasons: list[str] = []
    sources: list[str] = []
    for line in table.lines:
        # The largest batch last: it is what a machine that is there to save energy would run.
        spent = [(row.batch, row.energy) for row in line.rows if row.energy]
        counted = [(batch, energy) for batch, energy in spent if energy.joules_per_image is not None]
        reasons += [energy.reason for _, energy in spent if energy.reason]
        if not counted:
            continue
        batch, energy = next(
            (one for one in counted if one[0] == table.throughput_batch), max(counted, key=lambda one: one[0])
        )
        number = energy.joules_per_image or 0.0
        sources.append(SOURCES.get(energy.source or "", ""))
        name = known[id(line)] + (f" · batch {batch}" if batch != table.throughput_batch else "")
        text = joules(number)
        values.append({"line": name, "role": role_of(line), "number": number, "text": text, "exact": text})
    why = [f"Not measured: {reason}" for reason in dict.fromkeys(reasons)]
    if not values:
        return Section("energy", "What it costs in energy", "", notes=why, short="Energy") if why else None
    values.sort(key=lambda value: value["number"])
    about = (
        f"Energy of the whole device for one image at batch {table.throughput_batch}, by "
        f"{' and '.join(dict.fromkeys(sources))}; what the device takes when idle is part of it."
    )
    rows = [[value["line"], value["text"]] for value in values]
    numbers = Numbers("Energy as a table", ["engine", "energy an image"], rows)
    label = "Energy for one image of each engine; a table follows"
    figure = Figure("energy", label, bars(values, "engine"), numbers=numbers, listed=True)
    return Section("energy", "What it costs in energy", about, [figure], notes=why, short="Energy")
