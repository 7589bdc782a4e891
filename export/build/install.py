"""Putting a built engine into its bundle: one builder at a time, self-tested first, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from zoo.bundle import sidecar
from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision
from zoo.bundle.sidecar import Named, SelfTest, Sidecar
from zoo.engines import selftest
from zoo.engines.backend import Backend
from zoo.engines.engine import Engine
from zoo.engines.precision import graph_of
from zoo.errors import InputError, VerdictError
from zoo.files import atomic_folder, locked, sha256
from zoo.progress import note


class Maker(Protocol):
    """What a builder does its own way."""

    @property
    def key(self) -> str:
        """The engine's folder."""
        ...

    def fresh(self, existing: Sidecar) -> bool:
        """Whether an engine that is there is the one that would be built."""
        ...

    def make(self, folder: Path) -> Sidecar:
        """Build the artefact into `folder`; its sidecar as yet without a self-test."""
        ...

    def open(self, folder: Path, about: Sidecar) -> Backend:
        """The engine, ready to run."""
        ...


def install(bundle: Bundle, maker: Maker) -> tuple[Sidecar, bool]:
    """The sidecar of the bundle's engine `maker.key`, and whether it had to be built.

    A process that comes while another builds the same engine waits, and finds it built. Raises `VerdictError` when the
    new engine fails the self-test; whatever was there before then stays, as after Ctrl-C or a full disk.
    """
    folder = bundle.path / sidecar.FOLDER / maker.key
    lock = folder.with_name(f".{maker.key}.lock")
    with locked(lock, waiting=lambda: note(f"another process builds {maker.key}, waiting for it ...")):
        existing = _existing(folder)
        if existing is not None and maker.fresh(existing):
            return existing, False
        with atomic_folder(folder) as temporary:
            draft = maker.make(temporary)
            about = draft.model_copy(update={"selftest": _tested(bundle, maker, temporary, draft)})
            sidecar.write(temporary, about)
    return about, True


def _existing(folder: Path) -> Sidecar | None:
    """The sidecar of an engine that is there and undamaged."""
    try:
        about = sidecar.read(folder)
        sidecar.artefact(folder, about)
    except InputError:
        return None
    return about


def _tested(bundle: Bundle, maker: Maker, folder: Path, draft: Sidecar) -> SelfTest:
    graph = graph_of(bundle, draft.backend, draft.precision)
    engine = Engine(bundle, draft.precision, graph, maker.open(folder, draft))
    outcome = selftest.check(engine)
    if not outcome.passed:
        raise VerdictError(
            f"{bundle.path}: the new {draft.backend} {draft.precision} engine gives other logits in the self-test, "
            f"by up to {outcome.difference:.3g} ({outcome.tolerance:g} allowed), and is not kept"
        )
    return SelfTest(difference=outcome.difference, tolerance=outcome.tolerance)


def check_batch(batch: tuple[int, int, int], bundle: Bundle) -> None:
    """`InputError` unless fewest, best and most images stand in that order, and the bundle's graphs take the most."""
    fewest, best, most = batch
    if not 1 <= fewest <= best <= most:
        raise InputError(f"a batch is MIN,OPT,MAX with 1 <= MIN <= OPT <= MAX, not {fewest},{best},{most}")
    if most > bundle.manifest.input.max_batch:
        raise InputError(f"{bundle.path} takes up to {bundle.manifest.input.max_batch} images at once, not {most}")


def named(path: Path) -> Named:
    """A file's entry in the sidecar."""
    return Named(name=path.name, sha256=sha256(path), bytes=path.stat().st_size)


def graph_entry(bundle: Bundle, precision: Precision) -> tuple[Path, Named]:
    """Path and entry of one of the bundle's graphs, its hash checked."""
    path = bundle.file(bundle.manifest.graphs[precision].file)
    entry = bundle.manifest.files[bundle.manifest.graphs[precision].file]
    return path, Named(name=path.name, sha256=entry.sha256, bytes=entry.bytes)
