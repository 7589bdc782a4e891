"""Opens the subject of a case. Only what it needs is imported: torch for a checkpoint, one runtime for a bundle."""

from __future__ import annotations

from bench.cases import CHECKPOINT_PEERS, GRAPH_PEERS, ONNX, TORCH, Case, is_engine
from bench.subjects.subject import Subject
from zoo.errors import InputError


def open_subject(case: Case) -> Subject:
    """Load what `case` names. Raises the errors of `zoo.load`, or of the checkpoint's reader; `InputError` also when it
    cannot be measured in the case's scope or variant.
    """
    if case.variant == "cuda-graph" and not (is_engine(case.backend) or case.backend in TORCH):
        raise InputError(f"{case.backend} is measured as its users call it: leave cuda-graph out")
    subject = _open(case)
    if case.scope == "compute" and subject.compute is None:
        reason = (
            "a CPU has no memory apart from the host's: scope call is all that it takes"
            if case.device == "cpu"
            else "it does not say what the GPU alone takes: measure scope call"
        )
        raise InputError(f"{case.backend} on {case.device} has no scope compute: {reason}")
    return subject


def _open(case: Case) -> Subject:
    if case.foreign == ONNX:
        from bench.subjects.foreign import open_graph

        return open_graph(case)
    if case.backend in TORCH:
        from bench.subjects.checkpoint import open_checkpoint

        return open_checkpoint(case)
    if case.backend in GRAPH_PEERS or case.backend in CHECKPOINT_PEERS:
        from bench.subjects.peers import open_peer

        return open_peer(case)
    from bench.subjects.bundle import open_bundle

    return open_bundle(case)
