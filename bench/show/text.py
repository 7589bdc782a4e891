"""Numbers and tables as text: one way to write each quantity, the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, TextIO

from bench.results import Results
from bench.show.against import Contest, contests
from bench.show.table import Line, Table, pivot

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

Number = float | int
NOTHING, UNSETTLED = "–", "~"
COST_COLUMNS = 4  # the first columns: what a network is, where the others say how fast it runs
HEADING_WIDTH, WIDEST = 10, 10_000  # characters
TEXT_COLUMNS = (0, 1, 3)  # of the table of peers: model, scope, engine
ROLE_MARKS = {"teacher": "◆", "control": "○", "student": "●", None: "·"}


def percent(share: Number) -> str:
    """`0.9917` -> `99.17 %`: two decimals, because a test split of a few hundred images moves in such steps."""
    return f"{share * 100:.2f} %"


def count(number: Number) -> str:
    """`11180000` -> `11.2 M`: three significant digits and the unit."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * limit:
            return f"{_three(number / limit)}{unit}"
    return f"{number:g}"


def size(number: Number) -> str:
    """Bytes in decimal units, as disks and downloads state them: `44.8 MB`."""
    if number >= 999.5:
        return f"{count(number)}B"
    return f"{number:g} B"


def milliseconds(number: Number) -> str:
    """Three significant digits: `0.0875 ms`, `12.3 ms`."""
    return f"{_three(number)} ms"


def rate(number: Number) -> str:
    """Images per second, with thousands separated: `12,345`."""
    return f"{number:,.0f}" if number >= 100 else _three(number)


def factor(number: Number) -> str:
    """A speed-up: `41.2×`."""
    return f"{number:,.0f}×" if number >= 100 else f"{_three(number)}×"


def share(number: Number) -> str:
    """Of the limit: `0.374` -> `37 %`; two digits, because a ceiling is not known better."""
    return f"{number * 100:.0f} %" if number >= 0.0995 else f"{number * 100:.1f} %"


def _three(number: Number) -> str:
    """Three significant digits without an exponent."""
    decimals = 0
    while decimals < 6 and abs(number) < 99.95 / 10**decimals:
        decimals += 1
    return f"{number:.{decimals}f}"


@dataclass(frozen=True)
class Column:
    """A number of a `Line`: its heading, how to get it, how to write it."""

    key: str
    heading: str
    value: Callable[[Line], Number | None]
    write: Callable[[Number], str]

    def text(self, line: Line) -> str:
        """The cell as people read it."""
        value = self.value(line)
        if value is None:
            return NOTHING
        unsettled = self.key == "p50_ms" and not line.settled
        return f"{UNSETTLED} {self.write(value)}" if unsettled else self.write(value)


def columns(table: Table) -> list[Column]:
    """Every number of the table, left to right."""
    one, many = table.latency_batch, table.throughput_batch
    known = next((line.accuracy for line in table.lines if line.accuracy), None)
    metric = known.heading if known else "accuracy"
    shown = known.write if known else percent
    found = [
        Column("accuracy", metric, lambda line: line.accuracy.value if line.accuracy else None, shown),
        Column("parameters", "parameters", lambda line: line.parameters, count),
        Column("macs", "MACs", lambda line: line.macs, count),
        Column("bytes_on_disk", "on disk", lambda line: line.bytes_on_disk, size),
        Column("p50_ms", f"p50, batch\u00a0{one}", lambda line: line.p50_ms, milliseconds),
        Column("p90_ms", f"p90, batch\u00a0{one}", lambda line: line.p90_ms, milliseconds),
        Column("images_per_second", f"images/s, batch\u00a0{many}", lambda line: line.images_per_second, rate),
    ]
    if any(line.of_limit is not None for line in table.lines):
        found.insert(-1, Column("of_limit", f"of limit, batch\u00a0{one}", lambda line: line.of_limit, share))
    for place, reference in enumerate(table.references):
        found.append(Column(f"speedup_{place}", f"vs {reference.label}", _speedup(place), factor))
    return found


def _speedup(place: int) -> Callable[[Line], float | None]:
    return lambda line: line.speedups[place]


def caption(results: Results) -> str:
    """The machine and the day, without which the numbers mean nothing."""
    scopes = ", ".join(sorted({row.scope for row in results.rows}))
    return f"{results.host.summary}, {results.created:%Y-%m-%d}; scope: {scopes}"


def notes(table: Table) -> list[str]:
    """What the table cannot say in its cells: engines that were not, or not wholly, measured; doubtful numbers."""
    found = [f"Not measured: {line.title}: {line.error}" for line in table.lines if line.error]
    if not all(line.settled for line in table.lines):
        found.append(f"{UNSETTLED} Time was up before the 95 % interval of p50 was narrow enough.")
    if any(line.of_limit is not None and line.of_limit > 1 for line in table.lines):
        found.append(
            "More than 100 % of the limit: a ceiling was taken at a bad moment; `zoo bench roofline` can raise it."
        )
    return found


def comparison(results: Results) -> list[list[str]]:
    """The contests as a table, its heading first; empty when no peer was measured."""
    found = contests(results)
    if not found:
        return []
    peers = list(dict.fromkeys(peer for contest in found for peer in contest.peers))
    photos = any(contest.agreement(peer) is not None for contest in found for peer in contest.peers)
    heading = ["model", "scope", "batch", "our engine", "p50", *(f"× {peer}" for peer in peers)]
    table = [[*heading, *(["same top-1"] if photos else [])]]
    for contest in found:
        ours = contest.ours
        p50 = milliseconds(ours.timing.p50_ms) if ours.timing else NOTHING
        cells = [contest.model, contest.scope, str(contest.batch), ours.engine.text, p50]
        cells += [_against(contest, peer) for peer in peers]
        shares = [share for peer in contest.peers if (share := contest.agreement(peer)) is not None]
        table.append([*cells, *([percent(min(shares)) if shares else NOTHING] if photos else [])])
    return table


def _against(contest: Contest, peer: str) -> str:
    row = contest.peers.get(peer)
    ratio = contest.ratio(peer) if row is not None else None
    if row is None or row.timing is None or ratio is None:
        return NOTHING
    return f"{factor(ratio)} ({milliseconds(row.timing.p50_ms)})"


def markdown(results: Results) -> str:
    """The table of each scope in GitHub's Markdown, with the caption below it; then the peers, if any."""
    tables = [_markdown_table(results.only(scope)) for scope in results.scopes]
    if contest := comparison(results):
        heading, *rows = contest
        marks = [":--" if place in TEXT_COLUMNS else "--:" for place in range(len(heading))]
        tables.append("\n".join([_md(heading), _md(marks), *(_md(row) for row in rows)]) + "\n")
    return "\n".join(tables)


def _markdown_table(results: Results) -> str:
    table = pivot(results)
    numbers = columns(table)
    lines = [
        _md(["model", "engine", *(column.heading for column in numbers)]),
        _md([":--", ":--", *("--:" for _ in numbers)]),
    ]
    for line in table.lines:
        model = f"{line.model} ({line.role})" if line.role and line.role != line.model else line.model
        lines.append(_md([model, line.how, *(column.text(line) for column in numbers)]))
    return "\n".join([*lines, "", "  \n".join([caption(results), *notes(table)])]) + "\n"


def _md(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def terminal(results: Results, file: TextIO | None = None) -> None:
    """Print the table of each scope to `file` (stdout), then the peers, if any.

    A table is in one piece where the terminal is wide enough, otherwise in two.
    rich drops what does not fit, and takes a pipe for 80 columns wide; a number that is not there is worse than a line
    that wraps, so that the console gets the width that the table needs.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console(file=file)
    room = console.width if console.is_terminal else None
    for scope in results.scopes:
        _terminal_table(results.only(scope), console, room)
    if contest := comparison(results):
        heading, *rows = contest
        grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
        for place, cell in enumerate(heading):
            grid.add_column(cell, justify="left" if place in TEXT_COLUMNS else "right", no_wrap=True)
        for row in rows:
            grid.add_row(*row)
        console.print(grid)


def _terminal_table(results: Results, console: Console, room: int | None) -> None:
    table = pivot(results)
    numbers = columns(table)
    console.width = WIDEST
    whole = _grid(table, numbers)
    fits = room is None or console.measure(whole).maximum <= room
    for part in [numbers] if fits else [numbers[:COST_COLUMNS], numbers[COST_COLUMNS:]]:
        console.print(_grid(table, part))
    for line in (caption(results), *notes(table)):
        console.print(line, markup=False, highlight=False)


def _grid(table: Table, numbers: Sequence[Column]) -> RichTable:
    """Each model is a line of its own, its engines are indented below it."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("", no_wrap=True)
    for column in numbers:
        grid.add_column(fill(column.heading, HEADING_WIDTH), justify="right", no_wrap=True)
    model = None
    for line in table.lines:
        if line.model != model:
            model = line.model
            role = f" ({line.role})" if line.role else ""
            grid.add_row(Text(f"{ROLE_MARKS[line.role]} {model}{role}", style="bold"))
        grid.add_row(Text(f"  {line.how}"), *(column.text(line) for column in numbers))
    return grid
