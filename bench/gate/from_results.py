"""Two checkouts that cannot be loaded side by side: each wrote results, in turn, and those are judged.

A row of `zoo bench run` is one process, so the n-th results of one checkout and the n-th of the other are a process
pair. One file of each is one pair, from which nothing follows; five are the fewest that the rule looks at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from bench.gate import verdict
from bench.gate.config import Benchmark, GateConfig
from bench.gate.missing import compared
from bench.gate.receipt import Check, Entry, Pair, Receipt
from bench.gate.rule import LOOKS, decide
from bench.gate.run import Book
from bench.gate.runners import Facts
from bench.results import Results, Row, read_results
from zoo.errors import InputError

Key = tuple[str, str, int, str]


def key_of(row: Row) -> Key:
    """What rows of two files must share to be compared."""
    return row.model, row.engine.text, row.batch, called(row)


def called(row: Row) -> str:
    """The scope, and the variant where the engine was not called plainly."""
    return row.scope if row.variant is None else f"{row.scope} {row.variant}"


def title_of(row: Row) -> str:
    """What the gate calls the benchmark of a row."""
    return f"{row.model} {row.engine.text} batch {row.batch} {called(row)}"


def titles(files: Sequence[Results]) -> dict[Key, str]:
    """Every row that is in any of the files, with its name, in the order of their first appearance."""
    return {key_of(row): title_of(row) for results in files for row in results.rows}


def same_host(files: Sequence[Results]) -> None:
    """`InputError` unless all were measured on one machine, and what ran on a GPU on one kind of GPU."""
    hosts = {results.host.fingerprint: results.host.summary for results in files}
    if len(hosts) > 1:
        raise InputError(f"results of different machines are never compared: {'; '.join(sorted(hosts.values()))}")
    rows = [row for results in files for row in results.rows if row.gpu is not None]
    for device in sorted({row.engine.device for row in rows}):
        names = sorted({row.gpu.name for row in rows if row.gpu is not None and row.engine.device == device})
        if len(names) > 1:
            raise InputError(f"results of different GPUs are never compared: {device} was {' and '.join(names)}")


def read_files(path: Path) -> list[Results]:
    """One results file, or those of a folder, oldest first."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    return sorted((read_results(file) for file in files), key=lambda results: results.created)


def judge(
    baseline: Path,
    candidate: Path,
    config: GateConfig,
    *,
    out: Path | None = None,
    allow_missing: Sequence[str] = (),
) -> Receipt:
    """The verdict on two results files, or two folders of them. `allow_missing`: the benchmarks of the baseline, or
    patterns of their names, that the candidate need not have.
    """
    before, after = read_files(baseline), read_files(candidate)
    same_host([*before, *after])
    if config.benchmarks:
        raise InputError("results are judged row by row: leave [[tool.zoo.gate.benchmarks]] out")
    ours, theirs = titles(after), titles(before)
    missing, appeared = compared(theirs, ours, allow_missing)
    shared = [key for key in theirs if key in ours]
    if not shared:
        raise InputError(
            f"{baseline} and {candidate} have no row (model, engine, batch, scope) in common: "
            f"one has {_some(theirs)}, the other {_some(ours)}"
        )
    book = Book(baseline, candidate, config, len(shared), out=out, missing=missing, appeared=appeared)
    book.host = before[0].host
    with book.writing():
        book.entries += [_entry(_rows(before, key), _rows(after, key), book) for key in shared]
    return book.receipt()


def _some(names: Mapping[Key, str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(list(names.values())[:most]) + more or "none"


def _rows(files: Sequence[Results], key: Key) -> list[Row]:
    return [row for results in files for row in results.rows if key_of(row) == key]


def _entry(before: list[Row], after: list[Row], book: Book) -> Entry:
    row, config = before[0], book.config
    benchmark = Benchmark(
        name=title_of(row),
        backend=row.engine.backend,
        precision=row.engine.precision,
        device=row.engine.device,
        threads=row.engine.threads,
        batch=row.batch,
    )
    error = next((each.error for each in chain(before, after) if each.error), None)
    pairs = [] if error else [_pair(*two) for two in zip(before, after, strict=False)]
    rule = config.rule(benchmark, book.family)
    few = f"undecided after {len(pairs)} process pairs: write more results of each, in turn (at least {LOOKS[0]})"
    decision = decide([pair.unit("time") for pair in pairs], rule)
    checks = verdict.exact(_facts(before[0]), _facts(after[0]), config, book.family)
    if all(check.name != "accuracy" or check.verdict == "not checked" for check in checks):
        # Results hold no outputs. A fast wrong network must not pass, so that it needs the accuracy of both.
        decision = decide([], rule) if decision.verdict == "pass" else decision
        few = "nothing says that the predictions are right: measure both with --evaluate"
    found = verdict.measured("time", decision, rule, error or few)
    return Entry(
        benchmark=benchmark,
        verdict=verdict.of_entry([found], checks, error),
        engine=row.engine,
        calls=None,
        measured=[found],
        checks=[Check(name="answers", verdict="not checked", reason="results hold no outputs"), *checks],
        sentinel=None,
        pairs=pairs,
        error=error,
    )


def _pair(before: Row, after: Row) -> Pair:
    """Two processes as a pair. Their rounds were not interleaved, and the spread between the pairs shows it."""
    assert before.timing is not None
    assert after.timing is not None
    ours, theirs = after.timing.rounds_ns, before.timing.rounds_ns
    rounds = [{"baseline": a, "candidate": b} for a, b in zip(theirs, ours, strict=False)]
    calls = [*ours, *theirs]
    if not rounds or not all(calls) or min(chain(*calls)) <= 0:
        raise InputError(f"{before.model}: there is no verdict without raw rounds, each of at least one positive time")
    seconds = math.fsum(chain(*calls)) / 1e9
    return Pair.model_validate({"seconds": seconds, "processes": {}, "rounds": rounds})


def _facts(row: Row) -> Facts:
    return Facts(row.bytes_on_disk, row.parameters, row.accuracy)
