"""Our best engine against what others do with the same network: ratios of rows of one model, batch and scope."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.cases import PEERS, is_engine
from bench.results import Accuracy, Results, Row

SLACK = 1e-7  # a budget that is used up exactly is kept


@dataclass(frozen=True)
class Contest:
    """`ours`: the fastest of our engines that keeps its accuracy; `peers` by name, None where one failed."""

    model: str
    scope: str
    batch: int
    ours: Row
    peers: dict[str, Row | None]

    def ratio(self, peer: str) -> float | None:
        """How many times as fast ours is: the peer's p50 over ours."""
        row = self.peers[peer]
        if row is None or row.timing is None or self.ours.timing is None:
            return None
        return row.timing.p50_ms / self.ours.timing.p50_ms

    def agreement(self, peer: str) -> float | None:
        """Share of the photos whose highest output is the same; None where there were no photos."""
        row = self.peers[peer]
        if row is None or row.top is None or self.ours.top is None or len(row.top) != len(self.ours.top):
            return None
        return sum(one == other for one, other in zip(row.top, self.ours.top, strict=True)) / len(row.top)


def contests(results: Results) -> list[Contest]:
    """One for each (model, scope, batch) that has a peer beside an engine of ours."""
    found = []
    kept = _within_budget(results.rows)
    for model, scope, batch in dict.fromkeys((row.model, row.scope, row.batch) for row in results.rows):
        rows = [row for row in results.rows if (row.model, row.scope, row.batch) == (model, scope, batch)]
        ours = [row for row in rows if row.timing and is_engine(row.engine.backend) and _engine(row) in kept]
        peers = {row.engine.backend: row if row.timing else None for row in rows if row.engine.backend in PEERS}
        if ours and peers:
            fastest = min(ours, key=lambda row: row.timing.p50_ms if row.timing else float("inf"))
            found.append(Contest(model, scope, batch, fastest, peers))
    return found


def _engine(row: Row) -> tuple[str, str, str]:
    return row.model, row.engine.backend, row.engine.precision


def _within_budget(rows: Iterable[Row]) -> set[tuple[str, str, str]]:
    """The engines that lose no more than the task's budget against the best fp32 row of the model; those of a model
    whose accuracy was not measured, all.
    """
    measured: dict[tuple[str, str, str], Accuracy] = {}
    standards: dict[str, Accuracy] = {}
    rows = list(rows)
    for row in rows:
        if row.accuracy is None or row.timing is None:
            continue
        measured[_engine(row)] = row.accuracy
        known = standards.get(row.model)
        if row.engine.precision == "fp32" and (known is None or row.accuracy.rank < known.rank):
            standards[row.model] = row.accuracy
    kept = set()
    for row in rows:
        standard, accuracy = standards.get(row.model), measured.get(_engine(row))
        if standard is None or (accuracy is not None and accuracy.lost(standard) <= standard.budget + SLACK):
            kept.add(_engine(row))
    return kept
