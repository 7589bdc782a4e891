"""What an engine is opened with: enough to open it again, in another process, on another machine, after a fork."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision
from zoo.engines.backend import Backend, Replayable
from zoo.engines.precision import graph_of
from zoo.engines.proof import prove
from zoo.engines.registry import backend_class
from zoo.errors import EnvironmentProblem, InputError


@dataclass(frozen=True)
class Opening:
    """The arguments of `zoo.load` for one backend. `batch`: what `predict_many` takes at a time, where it was tuned."""

    bundle: Bundle
    backend: str
    precision: str
    device: str | None = None
    threads: int | None = None
    cuda_graph: bool = False
    selftest: bool = True
    batch: int | None = None

    @property
    def graph(self) -> Precision:
        """The graph that runs in this precision. `InputError` when the bundle has none."""
        return graph_of(self.bundle, self.backend, self.precision)

    def open(self) -> Backend:
        """The backend, loaded, and proven where that is asked for. Raises the errors of `zoo.load`."""
        kind, graph = backend_class(self.backend), self.graph
        if self.threads is not None and self.threads < 1:
            raise InputError(f"threads must be at least 1, not {self.threads}")
        file = self.bundle.file(self.bundle.manifest.graphs[graph].file)
        more = _replaying(kind) if self.cuda_graph else {}
        device = self.device or kind.devices[0]
        made = kind(file, precision=self.precision, device=device, threads=self.threads, **more)
        if self.cuda_graph and not (isinstance(made, Replayable) and made.cuda_graph):
            raise EnvironmentProblem(f"{self.backend} was asked to replay a CUDA graph and does not say that it does")
        if self.selftest:
            prove(self.bundle, self.precision, graph, made)
        return made

    def anywhere(self) -> Opening:
        """The same, whatever the working directory is."""
        return replace(self, bundle=replace(self.bundle, path=self.bundle.path.absolute()))


def _replaying(kind: type[Backend]) -> dict[str, Any]:
    """The arguments that make a backend capture its launches and replay them. `InputError` for one that cannot."""
    if kind.replays == "never":
        raise InputError(f"{kind.name} does not replay a CUDA graph: leave it out")
    return {"cuda_graph": True} if kind.replays == "when asked" else {}
