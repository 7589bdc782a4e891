"""Rows of cases that are measured in several passes.

Each pass measures every case once more, in a fresh process and in another order. A case is then
measured in several noise regimes of the machine and with several layouts of memory, and so are those that it is
compared with. No process idles beside the one that is measured, as some would if they were kept alive between turns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from bench.cases import Case
from bench.results import Row


class Collection:
    """The rows so far: one for each (case, batch), with the rounds of all passes."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = list(cases)
        self._found: list[dict[int, Row]] = [{} for _ in cases]

    def add(self, place: int, rows: Sequence[Row]) -> None:
        """Take the rows of one more process of the case at `place`. One that failed makes its row a failure."""
        found, width = self._found[place], self.cases[place].limits.interval_width
        for row in rows:
            before = found.get(row.batch)
            found[row.batch] = row if before is None else _joined(before, row, width)

    def of(self, place: int) -> list[Row]:
        """The rows of one case."""
        return list(self._found[place].values())

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of the cases."""
        return [row for place in range(len(self.cases)) for row in self.of(place)]

    def failed(self, place: int) -> bool:
        """Whether the case could not be measured wholly."""
        return any(row.error for row in self.of(place))


Again = Callable[[Collection, int], bool]


def turns(found: Collection, passes: int, again: Again | None = None) -> Iterator[tuple[int, Case]]:
    """Which case is next, with its place; those that failed, or of whom `again` says no, are not asked again.

    One pass keeps the order of the cases. What does not change from pass to pass, as accuracy, or is not a time, is
    measured in the first.
    """
    once = {"evaluation": None, "selftest": False, "energy": False, "layers": False, "streams": ()}
    for number in range(passes):
        order = list(range(len(found.cases)))
        if passes > 1:
            random.Random(number).shuffle(order)
        for place in order:
            if number and (found.failed(place) or (again is not None and not again(found, place))):
                continue
            case = found.cases[place]
            yield place, case.model_copy(update=once) if number else case


def _joined(before: Row, row: Row, width: float) -> Row:
    if before.timing is None or row.timing is None:
        return before if before.timing is None else row
    timing = before.timing.joined(row.timing, batch=row.batch, width=width)
    memory = row.peak_memory or before.peak_memory
    gpu = before.gpu.joined(row.gpu) if before.gpu and row.gpu else row.gpu or before.gpu
    return before.model_copy(update={"timing": timing, "peak_memory": memory, "gpu": gpu})
