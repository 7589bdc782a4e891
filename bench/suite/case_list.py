"""From choices to cases: which bundles, on which backends and devices, in which precisions, scopes and variants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, cast, get_args

from bench.cases import EAGER, GRAPH_PEERS, ONNX, PEERS, PIPELINE, TORCH, Case, Role, Scope, Variant, is_engine
from bench.gpu import is_gpu
from bench.numbers import known
from bench.subjects.accuracy import check
from bench.subjects.foreign import labels_of
from bench.subjects.native import NATIVE, is_native, program
from bench.suite.choices import Choices
from bench.suite.naming import RUN, Named, checkpoint, named
from zoo.bundle.manifest import Executed, Manifest
from zoo.engines import Bundle
from zoo.engines.backend import Device
from zoo.engines.precision import NAMES, graph_of, offered
from zoo.engines.registry import backend_class, installed, names, runtimes
from zoo.errors import EnvironmentProblem, InputError
from zoo.progress import note

# Peers run on a CPU alone.
CPU_PEERS = frozenset({*GRAPH_PEERS, PIPELINE})
CONTROL = "-control"  # a control is called after its student, as `zoo distill` does


def list_cases(bundles: Sequence[Path], teachers: Sequence[str], choices: Choices) -> list[Case]:
    """The cases, teachers first.

    Everything that can be found wrong without loading a network is found here, as an `InputError`, before the first
    case takes its time.
    """
    scopes, variants, devices = choices.known_scopes(), choices.known_variants(), choices.known_devices()
    cases = [case for text in teachers for case in _on_devices(_teacher(text, choices), devices)]
    backends = _backends(choices.backends, choices.native)
    precisions = [known(name, NAMES, "precision") for name in choices.precisions]
    opened = [Bundle.open(path) for path in bundles]
    for bundle in opened:
        if choices.evaluation is not None:
            check(choices.evaluation, bundle.labels())
        for precision in precisions:
            if not any(precision in _offered(bundle, backend) for backend in backends):
                graph_of(bundle, backends[0], precision)  # raises, and says why
        for backend in backends:
            for device in _devices(backend, devices, asked=bool(choices.backends)):
                wanted = _precisions(_offered(bundle, backend), precisions, backend, device)
                cases += [_compiled(bundle, backend, precision, choices, device) for precision in wanted]
    for peer in choices.peers:
        cases += [case for one in _peers(peer, opened, choices) for case in _on_devices(one, devices)]
    return distinct([one for case in cases for one in _spread(case, scopes, variants, choices.photos)])


def distinct(cases: Sequence[Case]) -> list[Case]:
    """The cases, if a reader of the results can tell their rows apart; otherwise an `InputError`."""
    seen: dict[tuple[object, ...], Case] = {}
    for case in cases:
        for batch in case.batches:
            engine = (case.backend, case.precision, case.device, case.threads)
            other = seen.setdefault((case.name, *engine, case.scope, case.variant, batch), case)
            if other is not case:
                places = " and ".join(dict.fromkeys((str(other.subject), str(case.subject))))
                raise InputError(f"'{case.title}' at batch {batch} is measured twice, from {places}")
    return list(cases)


def _spread(
    case: Case, scopes: Sequence[Scope], variants: Sequence[Variant | None], photos: Path | None
) -> Iterator[Case]:
    """The case in every scope and variant that makes sense for it. Accuracy is of the engine and is measured once."""
    first = True
    for scope, variant in product(scopes, variants):
        if not _fits(case, scope, variant):
            continue
        changes: dict[str, Any] = {"scope": scope, "variant": variant, "photos": photos if scope == "image" else None}
        changes |= {} if first else {"evaluation": None}
        changes |= {"streams": ()} if scope == "compute" else {}  # the device itself has one queue
        if is_native(case.backend):  # its loop has callers of its own, and looks at one picture at a time
            changes |= {"evaluation": None, "streams": (), "layers": False}
            changes |= {"batches": (1,)} if scope == "image" else {}
        yield case.model_copy(update=changes)
        first = False


def _fits(case: Case, scope: Scope, variant: Variant | None) -> bool:
    gpu, native = is_gpu(case.device), is_native(case.backend)
    if (scope == "call" and case.backend == PIPELINE) or (scope == "compute" and (native or not gpu)):
        return False
    # The other peers, and foreign ONNX files, are called as their owners call them, and libzoo's loop in one way.
    ours = (is_engine(case.backend) and not native and case.foreign is None) or case.backend in TORCH
    return variant is None or (scope != "image" and gpu and ours)


def _devices(backend: str, devices: Sequence[str], *, asked: bool) -> list[str]:
    """Those of `devices` that the backend has; without any, its usual one."""
    kinds = _kinds_of_device(backend)
    fit = [device for device in devices if _kind_of(device) in kinds]
    if devices and not fit:
        if asked:
            raise InputError(f"{backend} runs on {kinds[0]} only, and {', '.join(devices)} is asked for")
        note(f"{backend} runs on {kinds[0]} only and is left out")
    return fit if devices else [kinds[0]]


def _kinds_of_device(backend: str) -> tuple[Device, ...]:
    """What a backend, a peer or torch runs on, the usual one first."""
    if backend in CPU_PEERS:
        return ("cpu",)
    return backend_class(NATIVE.get(backend, backend)).devices if is_engine(backend) else ("cpu", "cuda")


def _kind_of(device: str) -> Device:
    return "cuda" if is_gpu(device) else "cpu"


def _on_devices(case: Case, devices: Sequence[str]) -> list[Case]:
    return [case.model_copy(update={"device": device}) for device in _devices(case.backend, devices, asked=True)]


def _offered(bundle: Bundle, backend: str) -> list[Executed]:
    """libzoo runs the graphs that Python's engine with the same library runs, and no execution of them."""
    there = offered(bundle, NATIVE.get(backend, backend))
    return [name for name in there if name in bundle.manifest.graphs] if is_native(backend) else there


def _precisions(there: Sequence[Executed], asked: Sequence[Executed], backend: str, device: str) -> Sequence[Executed]:
    """What is measured of the precisions `there`: those asked for, or those that make sense on the device."""
    if asked:
        return [precision for precision in asked if precision in there]
    usual = backend_class(NATIVE.get(backend, backend)).usual.get(_kind_of(device), ())
    return [precision for precision in usual if precision in there] or there


def _peers(text: str, bundles: Sequence[Bundle], choices: Choices) -> list[Case]:
    """`NAME` beside every bundle, or `NAME=` with one bundle or network."""
    name, _, path = text.partition("=")
    option = f"--peer {text}"
    peer = known(name, PEERS, "peer")
    if peer in GRAPH_PEERS:
        opened = [Bundle.open(path)] if path else bundles
        for bundle in opened:
            graph_of(bundle, "onnxruntime", "fp32")  # a peer runs the fp32 graph: refuse a bundle without one
        return [_compiled(bundle, peer, "fp32", choices) for bundle in opened]
    if not path:
        raise InputError(f"{option}: write {peer}=DIR, the folder that a training wrote, or {peer}=timm:NAME")
    network = _network(path, option)
    if network.foreign == ONNX:
        raise InputError(f"{option}: {peer} runs networks of torch, not an ONNX file")
    name = choices.name or network.name
    roles = {bundle.manifest.name: _role(bundle.manifest) for bundle in bundles}
    if network.foreign is None and roles and name not in roles:
        raise InputError(f"{option}: no bundle here is called '{name}'; there are: {', '.join(roles)}")
    case = _case(name, network.subject, peer, "fp32", roles.get(name), choices)
    # A checkpoint is the network that the fp32 graph was proven against: its accuracy is known.
    evaluation = case.evaluation if network.foreign else None
    return [_foreign(case.model_copy(update={"evaluation": evaluation}), network, choices)]


def _network(text: str, option: str) -> Named:
    """A peer's network; a path alone is a checkpoint."""
    path = text.removeprefix(f"{RUN}:")
    return checkpoint(path) if Path(path).exists() or ":" not in path else named(text, option)


def _teacher(text: str, choices: Choices) -> Case:
    network = named(text, f"--teacher {text}")
    if choices.evaluation is not None and not choices.evaluation.exists():
        raise InputError(f"no such folder of labelled images, nor a test set: {choices.evaluation}")
    backend = "onnxruntime" if network.foreign == ONNX else EAGER
    case = _case(choices.name or network.name, network.subject, backend, "fp32", "teacher", choices)
    return _foreign(case, network, choices)


def _foreign(case: Case, network: Named, choices: Choices) -> Case:
    """The case with what is said of a network from elsewhere; whether that names its outputs is found here."""
    if network.foreign is None:
        return case
    said = {"foreign": network.foreign, "labels": choices.labels, "class_order": choices.class_order}
    case = case.model_copy(update=said)
    labels_of(case)
    return case


def _compiled(bundle: Bundle, backend: str, precision: Executed, choices: Choices, device: str = "cpu") -> Case:
    about = bundle.manifest
    case = _case(choices.name or about.name, bundle.path, backend, precision, _role(about), choices)
    return case.model_copy(update={"device": device})


def _case(name: str, subject: Path, backend: str, precision: Executed, role: Role | None, choices: Choices) -> Case:
    return Case(
        name=name,
        subject=subject,
        backend=backend,
        precision=precision,
        threads=choices.threads,
        batches=tuple(choices.batches),
        streams=tuple(choices.streams),
        layers=choices.layers,
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
        loops = {backend: name for name, backend in NATIVE.items()}
        found += [loops[backend] for backend in found if backend in loops and loops[backend] not in found]
    if any(is_native(name) for name in found):
        program()  # raises where libzoo was not built
    return found


def _asked(asked: Sequence[str]) -> list[str]:
    if asked:
        return [known(name, (*names(), *NATIVE), "backend") for name in asked]
    there = runtimes()
    present = [name for name in there if installed(name)]
    for name in there:
        if name not in present:
            note(f"{name} is not installed and is left out")
    if not present:
        raise EnvironmentProblem(f"no backend is installed; there are: {', '.join(names())}")
    return present
