"""Each row's limit: the work of the graph that it ran, under the ceilings that are kept for this host."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bench.cases import GRAPH_PEERS, Case, is_engine
from bench.evidence import Ceilings
from bench.host import Host
from bench.results import Row
from bench.roofline.floor import floor
from bench.roofline.store import Known, find
from bench.subjects.native import NATIVE
from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Precision
from zoo.engines.precision import graph_of
from zoo.errors import ZooError, first_line
from zoo.graphs.work import Work, read_work
from zoo.machine import cores

log = logging.getLogger(__name__)


class Floors:
    """The floors of a suite. Without ceilings of `host`, or without the package onnx, every limit stays null."""

    def __init__(self, cases: Sequence[Case], host: Host) -> None:
        self._known: Known | None = find(host)
        self._bundles = {case.name: case for case in cases if _of_a_bundle(case)}
        self._work: dict[tuple[str, Precision], Work] = {}

    @property
    def ceilings(self) -> Ceilings | None:
        """What the floors are made of."""
        return None if self._known is None else self._known.ceilings

    def limited(self, case: Case, rows: Sequence[Row]) -> list[Row]:
        """The rows of a case with their limits. It never fails: what was measured must not be lost for an extra."""
        try:
            return [self._limited(case, row) for row in rows]
        except ZooError as error:
            log.warning("no limit for %s: %s", case.title, error)
        except Exception as error:  # onnx and protobuf raise types of their own
            log.warning("no limit for %s: its graph cannot be read: %s", case.title, first_line(error))
        return list(rows)

    def _limited(self, case: Case, row: Row) -> Row:
        known, engine = self._known, row.engine
        if known is None or row.timing is None or (row.gpu is not None and row.gpu.name != known.gpu):
            return row
        work = self._work_of(case, row)
        if work is None:
            return row
        limit = floor(
            work,
            known.ceilings,
            batch=row.batch,
            executed=engine.precision,
            device=engine.device,
            threads=engine.threads or cores(),
            scope=row.scope,
        )
        return row.model_copy(update={"limit": limit})

    def _work_of(self, case: Case, row: Row) -> Work | None:
        """A checkpoint's work is that of the bundle of its name, if that is measured too and has as many MACs.

        An ONNX file from elsewhere is no bundle, and has none here.
        """
        if _of_a_bundle(case):
            bundle = Bundle.open(case.subject)
            return self._read(bundle, graph_of(bundle, NATIVE.get(case.backend, case.backend), case.precision))
        if case.backend in GRAPH_PEERS:
            return self._read(Bundle.open(case.subject), "fp32")
        twin = self._bundles.get(case.name)
        if twin is None or (bundle := Bundle.open(twin.subject)).manifest.cost.macs != row.macs:
            return None
        return self._read(bundle, "fp32")

    def _read(self, bundle: Bundle, graph: Precision) -> Work:
        key = str(bundle.path.resolve()), graph
        if key not in self._work:
            self._work[key] = read_work(bundle.file(bundle.manifest.graphs[graph].file))
        return self._work[key]


def _of_a_bundle(case: Case) -> bool:
    return is_engine(case.backend) and case.foreign is None
