"""From a command line's choices to cases: which bundles, on which backends, in which precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from bench.accuracy import check
from bench.cases import EAGER, GRAPH_PEERS, PEERS, PIPELINE, SCOPES, Case, Limits, Role, Scope
from bench.native import NATIVE, is_native, program
from bench.photos import photo_files
from zoo.engines import BACKENDS, Bundle
from zoo.engines.backend import BUILT, installed
from zoo.engines.manifest import Manifest
from zoo.engines.precision import NAMES, Executed, graph_of, offered
from zoo.errors import EnvironmentProblem, InputError, nearest
from zoo.progress import note

# fp16 on a CPU is converted to fp32 and back by most of them: it is measured when it is asked for.
SENSIBLE_ON_CPU: tuple[Executed, ...] = ("fp32", "int8")
Name = TypeVar("Name", bound=str)
RUN = "run:"
CONTROL = "-control"  # a control is called after its student, as `zoo distill` does


@dataclass(frozen=True)
class Choices:
    """What a command line asked for. Empty `backends` and `precisions`: those that make sense here."""

    backends: Sequence[str] = ()
    precisions: Sequence[str] = ()
    batches: Sequence[int] = (1, 32)
    threads: int | None = None
    evaluation: Path | None = None
    scopes: Sequence[str] = ("call",)
    photos: Path | None = None
    peers: Sequence[str] = ()
    native: bool = False
    limits: Limits = field(default_factory=Limits)


def plan(bundles: Sequence[Path], teachers: Sequence[str], choices: Choices) -> list[Case]:
    """The cases, teachers first.

    Everything that can be found wrong without loading a network is found here, as an `InputError`, before the first
    case takes its time.
    """
    scopes = _scopes(choices)
    cases = [_eager(teacher, choices) for teacher in teachers]
    backends = _backends(choices.backends, choices.native)
    precisions = [_known(name, NAMES, "precision") for name in choices.precisions]
    opened = [Bundle.open(path) for path in bundles]
    for bundle in opened:
        if choices.evaluation is not None:
            check(choices.evaluation, bundle.labels())
        for precision in precisions:
            if not any(precision in offered(bundle, backend) for backend in backends):
                graph_of(bundle, backends[0], precision)  # raises, and says why
        for backend in backends:
            wanted = _precisions(offered(bundle, backend), precisions)
            cases += [_compiled(bundle, backend, precision, choices) for precision in wanted]
    for peer in choices.peers:
        cases += _peers(peer, opened, choices)
    return [one for case in cases for one in _in_scopes(case, scopes, choices.photos)]


def _scopes(choices: Choices) -> list[Scope]:
    scopes = [known_scope(name) for name in choices.scopes]
    if ("image" in scopes) != (choices.photos is not None):
        raise InputError("--scope image and --photos DIR belong together")
    if choices.photos is not None:
        photo_files(choices.photos)
    if "image" not in scopes and any(peer.partition("=")[0] == PIPELINE for peer in choices.peers):
        raise InputError(f"--peer {PIPELINE} takes pictures: measure it with --scope image --photos DIR")
    return scopes


def known_scope(name: str) -> Scope:
    """A scope by its name."""
    return _known(name, SCOPES, "scope")


def _in_scopes(case: Case, scopes: Sequence[Scope], photos: Path | None) -> list[Case]:
    """The case in every scope that makes sense for it. Accuracy is of the engine and is measured once."""
    found: list[Case] = []
    for scope in scopes:
        if scope == "call" and case.backend == PIPELINE:
            continue
        changes: dict[str, Any] = {"scope": scope, "photos": photos if scope == "image" else None}
        if is_native(case.backend):
            changes |= {"evaluation": None} | ({"batches": (1,)} if scope == "image" else {})
        found.append(case.model_copy(update=changes | ({"evaluation": None} if found else {})))
    return found


def _peers(asked: str, bundles: Sequence[Bundle], choices: Choices) -> list[Case]:
    """`NAME` beside every bundle, or `NAME=PATH` for one bundle or checkpoint."""
    name, _, path = asked.partition("=")
    peer = _known(name, PEERS, "peer")
    if peer in GRAPH_PEERS:
        opened = [Bundle.open(path)] if path else bundles
        for bundle in opened:
            graph_of(bundle, "onnxruntime", "fp32")  # a peer runs the fp32 graph: refuse a bundle without one
        return [_compiled(bundle, peer, "fp32", choices) for bundle in opened]
    checkpoint = Path(path)
    if not path or not checkpoint.exists():
        raise InputError(f"--peer {asked}: write {peer}=DIR, the folder that a training wrote")
    model = _trained(checkpoint)
    known = {bundle.manifest.name: _role(bundle.manifest) for bundle in bundles}
    if known and model not in known:
        raise InputError(f"--peer {asked}: no bundle here is called '{model}'; there are: {', '.join(known)}")
    case = _case(model, checkpoint, peer, "fp32", known.get(model), choices)
    return [case.model_copy(update={"evaluation": None})]  # it is the network that the fp32 graph was proven against


def _trained(checkpoint: Path) -> str:
    """What the folder of a trained network is called."""
    return checkpoint.parent.name if checkpoint.is_file() else checkpoint.resolve().name


def _eager(teacher: str, choices: Choices) -> Case:
    path = Path(teacher.removeprefix(RUN))
    if not teacher.startswith(RUN):
        raise InputError(f"--teacher {teacher}: write {RUN}DIR, the folder that a training wrote")
    if not path.exists():
        raise InputError(f"no such teacher: {path}")
    return _case(_trained(path), path, EAGER, "fp32", "teacher", choices)


def _compiled(bundle: Bundle, backend: str, precision: Executed, choices: Choices) -> Case:
    return _case(bundle.manifest.name, bundle.path, backend, precision, _role(bundle.manifest), choices)


def _case(name: str, subject: Path, backend: str, precision: Executed, role: Role | None, choices: Choices) -> Case:
    return Case(
        name=name,
        subject=subject,
        backend=backend,
        precision=precision,
        threads=choices.threads,
        batches=tuple(choices.batches),
        role=role,
        group={"control": name.removesuffix(CONTROL), "student": name}.get(role or ""),
        evaluation=choices.evaluation,
        limits=choices.limits,
    )


def _role(manifest: Manifest) -> Role | None:
    """What `zoo export` wrote down; None for a bundle that was made otherwise."""
    role = manifest.provenance.get("role")
    return cast("Role", role) if role in get_args(Role) else None


def _backends(asked: Sequence[str], native: bool) -> list[str]:
    """The backends asked for, or all that run any graph and whose library is installed here; libzoo's beside them."""
    found = _asked(asked)
    if native:
        found += [name for name, backend in NATIVE.items() if backend in found and name not in found]
    if any(is_native(name) for name in found):
        program()  # raises where libzoo was not built
    return found


def _asked(asked: Sequence[str]) -> list[str]:
    if asked:
        return [_known(name, (*BACKENDS, *NATIVE), "backend") for name in asked]
    present = [name for name in BACKENDS if name not in BUILT and installed(name)]
    for name in BACKENDS.keys() - set(present) - BUILT:
        note(f"{name} is not installed and is left out")
    if not present:
        raise EnvironmentProblem(f"no backend is installed; there are: {', '.join(BACKENDS)}")
    return present


def _precisions(there: Sequence[Executed], asked: Sequence[Executed]) -> Sequence[Executed]:
    """What is measured of the precisions `there`: those asked for, or those that make sense on a CPU."""
    if asked:
        return [precision for precision in asked if precision in there]
    return [precision for precision in SENSIBLE_ON_CPU if precision in there] or there


def _known(name: str, known: Sequence[Name], kind: str) -> Name:
    for candidate in known:
        if candidate == name:
            return candidate
    raise InputError(f"no {kind} called '{name}'; there are: {', '.join(known)}{nearest(name, known)}")
