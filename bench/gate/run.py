"""The gate's run: benchmark after benchmark, each until it is decided."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.gate import verdict
from bench.gate.arm import ArmError
from bench.gate.child import CHECK, Job
from bench.gate.config import Benchmark, GateConfig
from bench.gate.paired_differences import PairSize, run_pair
from bench.gate.receipt import SCHEMA, Arm, Check, Entry, Missing, Pair, Receipt
from bench.gate.rule import LOOKS, Decision, decide, drifts
from bench.gate.runners import BundleRunner, Facts, Feed, Runner, chosen, default_benchmarks, one_sided, open_runners
from bench.host import this_host
from bench.results import EngineFacts
from zoo import __version__
from zoo.engines.registry import backend_class
from zoo.errors import InputError
from zoo.progress import track

CPU_STAT = Path("/sys/fs/cgroup/cpu.stat")


@dataclass
class Book:
    """The receipt while it is being written. `out` gets it after every benchmark, and when interrupted."""

    baseline: Path
    candidate: Path
    config: GateConfig
    family: int
    injected: float = 0.0
    out: Path | None = None
    argv: Sequence[str] | None = None
    entries: list[Entry] = field(default_factory=list)
    missing: Sequence[Missing] = ()
    appeared: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.host, self.created = this_host(), datetime.now(UTC).replace(microsecond=0)
        self._throttled = _throttled()

    def receipt(self, *, interrupted: bool = False) -> Receipt:
        """What is known now. There must be an entry."""
        result, reason = verdict.of_suite(self.entries, interrupted, self.missing)
        now = _throttled()
        stopped = None if now is None or self._throttled is None else now - self._throttled
        return Receipt.model_validate(
            {
                "schema": SCHEMA,
                "created": self.created,
                "version": __version__,
                "argv": ["zoo", *sys.argv[1:]] if self.argv is None else list(self.argv),
                "host": self.host,
                "baseline": str(self.baseline),
                "candidate": str(self.candidate),
                "config": self.config,
                "family": self.family,
                "injected": self.injected,
                "throttled": stopped,
                "interrupted": interrupted,
                "verdict": result,
                "reason": reason,
                "missing": list(self.missing),
                "appeared": list(self.appeared),
                "entries": self.entries,
            }
        )

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write the receipt when the block ends, however it ends."""
        try:
            yield
        except BaseException:
            self._write(interrupted=True)
            raise
        self._write(interrupted=False)

    def _write(self, *, interrupted: bool) -> None:
        if self.out is not None and self.entries:
            self.receipt(interrupted=interrupted).write(self.out)


def run(
    baseline: Path,
    candidate: Path,
    config: GateConfig,
    *,
    out: Path | None = None,
    injected: float = 0.0,
    pairs: int | None = None,
    seed: int | None = None,
    argv: Sequence[str] | None = None,
    only: str = "",
    allow_missing: Sequence[str] = (),
) -> Receipt:
    """Measure two bundles or two ONNX files until every benchmark is decided.

    `injected` slows the candidate down on purpose; `pairs`: measure so many, decided or not (a recording); `only`: a
    pattern of the benchmarks' names, as in `onnxruntime*`; `allow_missing`: those, or patterns of them, that the
    candidate need not have, where none is configured. `InputError` and `EnvironmentProblem` for what can be found wrong
    before anything is measured; later troubles are in the entry.
    """
    runners = open_runners(baseline, candidate, config)
    benchmarks = chosen(config.benchmarks or default_benchmarks(*runners), only)
    missing, appeared = one_sided(*runners, config, only, allow_missing)
    work = [
        _Work.of(benchmark, runners, config, place == 0 and pairs is None, len(benchmarks))
        for place, benchmark in enumerate(benchmarks)
    ]
    family = sum(len(benchmark.metrics) for benchmark in benchmarks)
    book = Book(baseline, candidate, config, family, injected, out, argv, missing=missing, appeared=appeared)
    draw = random.Random(seed)
    with track("gate", total=len(work)) as advance:
        for each in work:
            with book.writing():
                try:
                    each.measure(book, draw, pairs)
                finally:
                    book.entries.append(each.entry(book))
            advance()
    return book.receipt()


@dataclass
class _Work:
    """One benchmark while it is measured."""

    benchmark: Benchmark
    runners: dict[Arm, Runner]
    checks: list[Check]
    pairs: list[Pair] = field(default_factory=list)
    size: PairSize | None = None
    engine: EngineFacts | None = None
    difference: float = 0.0
    error: str | None = None

    @classmethod
    def of(
        cls, benchmark: Benchmark, runners: tuple[Runner, Runner], config: GateConfig, sentinel: bool, benchmarks: int
    ) -> _Work:
        """What can be found wrong without running anything is found here. `benchmarks`: how many there are."""
        backend_class(benchmark.backend)
        before, after = runners
        known: tuple[Facts, Facts] = (before.facts(benchmark), after.facts(benchmark))
        arms: dict[Arm, Runner] = {"baseline": before, "candidate": after}
        checks = verdict.exact(*known, config, benchmarks)
        if config.answers == "accuracy":
            accuracy = next(check for check in checks if check.name == "accuracy")
            if accuracy.verdict == "not checked":
                raise InputError(f"{benchmark.title}: answers = 'accuracy' and the accuracy is {accuracy.reason}")
        if sentinel and config.sentinel:
            arms["sentinel"] = before
        return cls(benchmark, arms, checks)

    def measure(self, book: Book, draw: random.Random, pairs: int | None) -> None:
        """Pair after pair until there is a verdict; a failing process ends it with `error`."""
        from safetensors.numpy import save_file

        last = pairs or LOOKS[-1]
        with tempfile.TemporaryDirectory(prefix="zoo-gate-") as folder, track(self.benchmark.title, last) as advance:
            feeds = self._feeds(book.config)
            for name, feed in feeds.items():
                save_file(feed, Path(folder, f"{name}.feed"))
            jobs = {
                arm: self._job(arm, Path(folder), arm if arm in feeds else "baseline", book.injected)
                for arm in self.runners
            }
            while len(self.pairs) < last and (pairs or not self._settled(book)):
                try:
                    outcome = run_pair(jobs, self.size, Path(folder), draw)
                except ArmError as failure:
                    self.error = str(failure)
                    return
                self.pairs.append(outcome.pair)
                self.size, self.engine = outcome.size, outcome.engine
                self.difference = max(self.difference, outcome.difference)
                advance()

    def _feeds(self, config: GateConfig) -> dict[Arm, Feed]:
        """What the arms are fed: all the same, unless a retrained candidate sees pictures of its own size."""
        feeds: dict[Arm, Feed] = {"baseline": self.runners["baseline"].feed(self.benchmark.batch)}
        if config.answers == "accuracy":
            own = self.runners["candidate"].feed(self.benchmark.batch)
            feeds["candidate"] = {f"own {name}": array for name, array in own.items() if name != CHECK}
        return feeds

    def _job(self, arm: Arm, folder: Path, feed: Arm, injected: float) -> Job:
        runner, about = self.runners[arm], self.benchmark
        return Job(
            subject=runner.path.resolve(),
            is_bundle=isinstance(runner, BundleRunner),
            backend=about.backend,
            precision=about.precision,
            device=about.device,
            threads=about.threads,
            feed=folder / f"{feed}.feed",
            outputs=folder / f"{arm}.outputs",
            injected=injected if arm == "candidate" else 0.0,
        )

    def _decisions(self, book: Book) -> list[Decision]:
        rule = book.config.rule(self.benchmark, book.family)
        return [decide([pair.unit(metric) for pair in self.pairs], rule) for metric in self.benchmark.metrics]

    def _settled(self, book: Book) -> bool:
        """Whether another pair could change nothing that matters."""
        if self.pairs and verdict.answers(self.difference, book.config).verdict == "fail":
            return True  # how fast a wrong output comes is of no interest
        return all(decision.verdict is not None for decision in self._decisions(book))

    def entry(self, book: Book) -> Entry:
        """What the receipt says of this benchmark, finished or not."""
        config = book.config
        checks = [*([verdict.answers(self.difference, config)] if self.pairs else []), *self.checks]
        rule = config.rule(self.benchmark, book.family)
        early = f"stopped after {len(self.pairs)} process pairs" if len(self.pairs) < LOOKS[-1] else None
        why = self.error or early
        found = [
            verdict.measured(metric, decision, rule, why)
            for metric, decision in zip(self.benchmark.metrics, self._decisions(book), strict=True)
        ]
        still = None
        if "sentinel" in self.runners and self.pairs:
            still = not drifts([pair.unit("time", "sentinel") for pair in self.pairs], rule)
        return Entry.model_validate(
            {
                "benchmark": self.benchmark,
                "verdict": verdict.of_entry(found, checks, self.error),
                "engine": self.engine,
                "calls": self.size and self.size.calls,
                "measured": found,
                "checks": checks,
                "sentinel": still,
                "pairs": self.pairs,
                "error": self.error,
            }
        )


def _throttled() -> int | None:
    try:
        words = CPU_STAT.read_text(encoding="utf-8").split()
    except OSError:
        return None
    return int(words[words.index("nr_throttled") + 1]) if "nr_throttled" in words else None
