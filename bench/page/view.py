"""Everything that the page says about one scope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cases import Scope
from bench.page import energy, engines, layers, roofline, rounds, sizes, spread, start, tradeoff
from bench.page.charts.section import Numbers, Section, Spec
from bench.page.engines import Shown
from bench.results import Results
from bench.show.headline import Segments, headline, pick
from bench.show.table import Line, Table, pivot
from bench.show.text import TEXT_COLUMNS, Column, comparison, notes

SCOPE_WORDS: dict[Scope, tuple[str, str]] = {
    "compute": ("Device alone", "what the device itself takes, input and output in its own memory"),
    "call": ("Call", "from pixels in host memory to numbers in host memory"),
    "image": ("Image", "from the bytes of a JPEG file to a prediction"),
}
# What most apps do: the others are looked at to find out where their time goes.
FIRST: Scope = "call"


@dataclass(frozen=True)
class View:
    """One scope's part of the page."""

    scope: Scope
    table: Table
    sentence: Segments
    shipped: Line | None
    teacher: Line | None
    columns: Sequence[Column]
    lines: Sequence[Shown]
    before: Sequence[Section]
    after: Sequence[Section]
    notes: Sequence[str]

    @property
    def sections(self) -> list[tuple[str, str]]:
        """(key, words) of each section, in the order of the page."""
        listed = [(one.key, one.link) for one in (*self.before, Section("engines", "Engines", ""), *self.after)]
        return [(f"{self.scope}-{key}", link) for key, link in listed]

    @property
    def specs(self) -> dict[str, Spec]:
        """Every drawing of this scope by its key on the page."""
        figures = [figure for one in (*self.before, *self.after) for figure in one.figures]
        drawn = {f"{self.scope}-{figure.key}": figure.spec for figure in figures}
        return drawn | {key: spec for line in self.lines for key, spec in line.charts.items()}


SHARED_SPECS = {"rounds": rounds.drawing, "layers": layers.drawing}


def view(results: Results, scope: Scope) -> View:
    """The part of one scope, from its rows alone."""
    rows = results.only(scope)
    table = pivot(rows)
    chosen = pick(table)
    shipped = chosen.line if chosen else None
    before = [tradeoff.section(table, shipped)]
    after = [
        _peers(rows),
        spread.section(table),
        sizes.section(table),
        start.start(table),
        start.saturation(table),
        roofline.section(table, rows, shipped),
        layers.section(table, shipped),
        energy.section(table),
    ]
    return View(
        scope=scope,
        table=table,
        sentence=headline(table),
        shipped=shipped,
        teacher=chosen.teacher if chosen else None,
        columns=engines.arranged(table),
        lines=engines.shown(table, shipped, scope),
        before=[one for one in before if one],
        after=[one for one in after if one],
        notes=notes(table),
    )


def views(results: Results) -> list[View]:
    """A view for each scope; of a file without rows, one that says so."""
    return [view(results, scope) for scope in results.scopes or [FIRST]]


def _peers(results: Results) -> Section | None:
    found = comparison(results)
    if not found:
        return None
    heading, *rows = found
    about = (
        "The fastest of our engines that keeps its accuracy, beside what others do with the same network: libraries "
        "with nothing set, and what users of torch do. × is how many times as fast ours is; in brackets stands the "
        "other's p50."
    )
    numbers = Numbers("Ours beside others", heading, rows, text=TEXT_COLUMNS, folded=False)
    return Section("peers", "Beside what others do", about, numbers=numbers, short="Peers")
