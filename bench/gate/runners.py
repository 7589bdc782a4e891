"""The two things that are compared: bundles, or ONNX files. What each gives to a benchmark, and what both are fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from bench.gate.child import CHECK
from bench.gate.config import RETRAINED, Benchmark, GateConfig
from bench.gate.missing import compared
from bench.gate.receipt import Missing
from bench.measure import DISTINCT_BATCHES, random_batches
from bench.results import Accuracy
from zoo.bundle.bundle import MANIFEST
from zoo.bundle.manifest import Precision
from zoo.engines import Bundle
from zoo.engines.registry import backend_class
from zoo.errors import InputError
from zoo.graphs.foreign import open_signature
from zoo.graphs.signature import Signature
from zoo.graphs.structure import files_of, parameters

Kind = Literal["bundle", "onnx", "results"]
Feed = dict[str, np.ndarray]
FORMATS = {"uint8", "float16", "float32", "float64"}


@dataclass(frozen=True)
class Facts:
    """What is known of a subject without running it; None where it is not."""

    bytes: int | None
    parameters: int | None
    accuracy: Accuracy | None


class Runner(Protocol):
    """A baseline or a candidate."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    def facts(self, benchmark: Benchmark) -> Facts:
        """`InputError` when this runner cannot serve the benchmark."""
        ...

    def feed(self, batch: int) -> Feed:
        """Arrays that the subject takes, one batch each; those called `CHECK` are not timed."""
        ...


@dataclass(frozen=True)
class BundleRunner:
    """A bundle, loaded as an app loads it."""

    path: Path

    @cached_property
    def bundle(self) -> Bundle:
        """Opened, its manifest read."""
        return Bundle.open(self.path)

    def facts(self, benchmark: Benchmark) -> Facts:
        """From the manifest, which the file must match."""
        about = self.bundle.manifest
        if benchmark.precision not in about.graphs:
            raise InputError(f"{self.path} has no {benchmark.precision} graph; it has: {', '.join(about.graphs)}")
        file = about.graphs[benchmark.precision].file
        self.bundle.file(file)
        kept = about.accuracy
        value = kept.graphs.get(benchmark.precision)
        accuracy = value is not None and Accuracy(task=about.task, metric=kept.metric, value=value, images=kept.images)
        return Facts(about.files[file].bytes, about.cost.parameters, accuracy or None)

    def feed(self, batch: int) -> Feed:
        """Pictures that look like photographs, and the bundle's own self-test."""
        image = self.bundle.manifest.input
        return _named(random_batches(batch, image.height, image.width)) | {CHECK: self.bundle.selftest()["image"]}


@dataclass(frozen=True)
class OnnxRunner:
    """An ONNX file with one input of fixed size, but for the batch; its first output counts."""

    path: Path

    @cached_property
    def signature(self) -> Signature:
        """What goes in and out; the file is opened for it once."""
        return open_signature(self.path)

    def facts(self, benchmark: Benchmark) -> Facts:
        """Counted in the file; the weights may lie beside it."""
        self._sizes(benchmark.batch)
        size = sum(file.stat().st_size for file in files_of(self.path))
        return Facts(size, parameters(self.path), None)

    def feed(self, batch: int) -> Feed:
        """Pictures where it takes pixels, otherwise normal noise; always the same."""
        numbers, rest = self._sizes(batch)
        if numbers is np.uint8 and len(rest) == 3 and rest[-1] == 3:
            return _named(random_batches(batch, rest[0], rest[1]))
        draw = np.random.default_rng(0)
        if numbers is np.uint8:
            return _named([draw.integers(0, 256, (batch, *rest), dtype=np.uint8) for _ in range(DISTINCT_BATCHES)])
        return _named([draw.standard_normal((batch, *rest)).astype(numbers) for _ in range(DISTINCT_BATCHES)])

    def _sizes(self, batch: int) -> tuple[type[np.generic], list[int]]:
        """The input's type and its sizes without the batch; `InputError` when it cannot be fed batches of `batch`."""
        taken = self.signature.input
        shape = taken.shape or ()
        rest = [size for size in shape[1:] if size is not None]
        if taken.dtype not in FORMATS or not shape or len(rest) != len(shape) - 1:
            needed = "uint8 or float, every size but the batch fixed"
            raise InputError(f"{self.path} takes {taken}, and {needed}, is needed")
        if self.signature.batch not in (None, batch):
            raise InputError(f"{self.path} takes batches of {self.signature.batch} only, not of {batch}")
        return np.dtype(taken.dtype).type, rest


def _named(arrays: list[np.ndarray]) -> Feed:
    return {f"{place:02d}": array for place, array in enumerate(arrays)}


def kind_of(path: Path) -> Kind:
    """What lies at `path`. `InputError` when it is nothing that can be compared."""
    if not path.exists():
        raise InputError(f"no such baseline or candidate: {path}")
    if path.suffix == ".onnx":
        return "onnx"
    if path.suffix == ".json" or (path.is_dir() and not (path / MANIFEST).is_file() and any(path.glob("*.json"))):
        return "results"
    return "bundle"


def open_runners(baseline: Path, candidate: Path, config: GateConfig) -> tuple[Runner, Runner]:
    """Both runners, checked against each other. `InputError` when they do not do the same work."""
    kinds = {kind_of(path) for path in (baseline, candidate)}
    if kinds == {"bundle"}:
        ours, theirs = BundleRunner(candidate), BundleRunner(baseline)
        _same_bundles(theirs, ours, config)
        return theirs, ours
    if kinds == {"onnx"}:
        before, after = OnnxRunner(baseline), OnnxRunner(candidate)
        taken = [runner.signature.input for runner in (before, after)]
        if len({(each.dtype, each.shape) for each in taken}) > 1:
            shown = " and ".join(f"{runner.path} takes {runner.signature.input}" for runner in (before, after))
            raise InputError(f"{shown}: they cannot be fed the same")
        if config.answers == "accuracy":
            raise InputError("an ONNX file states no accuracy: answers = 'accuracy' is for bundles and results")
        return before, after
    raise InputError(f"{baseline} and {candidate} are not the same kind of thing: two bundles, ONNX files or results")


def _same_bundles(baseline: BundleRunner, candidate: BundleRunner, config: GateConfig) -> None:
    before, after = baseline.bundle.manifest, candidate.bundle.manifest
    if before.task != after.task:
        raise InputError(f"{baseline.path} is for {before.task} and {candidate.path} for {after.task}")
    if baseline.bundle.labels() != candidate.bundle.labels():
        raise InputError(
            f"{baseline.path} and {candidate.path} have different labels: they do not solve the same problem"
        )
    same_size = (before.input.height, before.input.width) == (after.input.height, after.input.width)
    if config.answers == "same" and not same_size:
        raise InputError(
            f"{baseline.path} and {candidate.path} see pictures of different sizes, so that their outputs cannot be "
            f"compared: {RETRAINED}"
        )


def default_benchmarks(baseline: Runner, candidate: Runner) -> tuple[Benchmark, ...]:
    """ONNX Runtime at batch 1, in every precision that both have and that makes sense on a CPU."""
    if isinstance(baseline, BundleRunner) and isinstance(candidate, BundleRunner):
        theirs = candidate.bundle.manifest.graphs
        shared: list[Precision] = [name for name in baseline.bundle.manifest.graphs if name in theirs]
        sensible = [name for name in shared if name in _usual()] or shared
        if not sensible:
            raise InputError(f"{baseline.path} and {candidate.path} have no precision in common: nothing to compare")
        return tuple(Benchmark(precision=name) for name in sensible)
    return (Benchmark(),)


def chosen(benchmarks: tuple[Benchmark, ...], only: str) -> tuple[Benchmark, ...]:
    """Those whose name matches the pattern `only`, all without one. `InputError` when none is left."""
    found = tuple(benchmark for benchmark in benchmarks if matches(benchmark.title, only))
    if not found:
        known = ", ".join(benchmark.title for benchmark in benchmarks)
        raise InputError(f"no benchmark matches '{only}'; there are: {known}")
    return found


def matches(title: str, only: str) -> bool:
    """Whether a benchmark's name matches a pattern; the empty pattern is that of all."""
    return not only or fnmatchcase(title, only)


def one_sided(
    baseline: Runner, candidate: Runner, config: GateConfig, only: str, allowed: Sequence[str]
) -> tuple[list[Missing], list[str]]:
    """What would be measured of two bundles by default, and only one of them has the graph: missing, and new ones.

    Nothing of configured benchmarks, which both must have: `Runner.facts`.
    """
    if config.benchmarks or not (isinstance(baseline, BundleRunner) and isinstance(candidate, BundleRunner)):
        return [], []
    before, after = (_by_default(runner, only) for runner in (baseline, candidate))
    missing, appeared = compared(before, after, allowed)
    return [each.model_copy(update={"renamed": None}) for each in missing], appeared  # precisions are no names


def _by_default(runner: BundleRunner, only: str) -> dict[tuple[object, ...], str]:
    titles = {name: Benchmark(precision=name).title for name in runner.bundle.manifest.graphs if name in _usual()}
    return {(name,): title for name, title in titles.items() if matches(title, only)}


def _usual() -> Sequence[str]:
    """The precisions that make sense on a CPU."""
    return backend_class(Benchmark().backend).usual["cpu"]
