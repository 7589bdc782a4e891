"""The ceilings of this host, kept in the user's cache. Schema `zoo.ceilings/1`.

A ceiling is a maximum: what is measured again only ever raises it. A file that is broken, or that another machine
wrote, is ignored with a line in the log and never an error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import Field

from bench.evidence import Bandwidth, Ceilings, Rate
from bench.host import Host
from zoo.machine_store import MachineStore
from zoo.schemas import Strict

SCHEMA: Final = "zoo.ceilings/1"
One = TypeVar("One", Rate, Bandwidth)
log = logging.getLogger(__name__)


class Known(Strict):
    """The whole of a file."""

    schema_: Literal["zoo.ceilings/1"] = Field(SCHEMA, alias="schema")
    created: datetime = Field(description="when it was measured last")
    version: str = Field(description="of distilzoo")
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$", description="of the host")
    host: str = Field(description="the host in a few words")
    gpu: str | None = Field(description="what the ceilings of the device cuda were measured on")
    libraries: dict[str, str] = Field(description="of the last measurement")
    ceilings: Ceilings


STORE = MachineStore("ceilings", Known, SCHEMA, log)


def find(host: Host) -> Known | None:
    """What is known of this host; None, with a line in the log where there is a file of no use."""

    def objection(known: Known) -> str:
        same = known.fingerprint == host.fingerprint
        return "" if same else f"{STORE.place(host.fingerprint)} is of another machine ({known.host})"

    return STORE.find(lambda: host.fingerprint, "this machine's ceilings are ignored", objection=objection)


def keep(host: Host, known: Known) -> Path:
    """Write the file; returns its path."""
    return STORE.keep(host.fingerprint, known)


def forget(host: Host) -> bool:
    """Remove the file; False when there was none."""
    return STORE.forget(host.fingerprint)


def joined(before: Known | None, now: Known) -> Known:
    """The higher of each ceiling. What another GPU reached is dropped."""
    if before is None:
        return now
    same_gpu = before.gpu == now.gpu or now.gpu is None
    old = before.ceilings if same_gpu else _without_gpu(before.ceilings)
    new = now.ceilings
    launches = [one for one in (old.launch_us, new.launch_us) if one is not None]
    ceilings = Ceilings(
        rates=_highest([*old.rates, *new.rates], _arithmetic, lambda one: one.flops_per_second),
        bandwidths=_highest([*old.bandwidths, *new.bandwidths], _memory, lambda one: one.bytes_per_second),
        launch_us=min(launches, default=None),
    )
    return now.model_copy(update={"ceilings": ceilings, "gpu": now.gpu or before.gpu})


def _arithmetic(one: Rate) -> tuple[Any, ...]:
    return one.device, one.precision, one.threads


def _memory(one: Bandwidth) -> tuple[Any, ...]:
    return one.device, one.threads, one.working_set


def _highest(found: Iterable[One], key: Callable[[One], tuple[Any, ...]], value: Callable[[One], float]) -> list[One]:
    best: dict[tuple[Any, ...], One] = {}
    for one in found:
        if key(one) not in best or value(one) > value(best[key(one)]):
            best[key(one)] = one
    return list(best.values())


def _without_gpu(ceilings: Ceilings) -> Ceilings:
    return Ceilings(
        rates=[one for one in ceilings.rates if one.device == "cpu"],
        bandwidths=[one for one in ceilings.bandwidths if one.device == "cpu"],
        launch_us=None,
    )
