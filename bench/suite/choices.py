"""What a command line or a suite asks for: not yet cases, but every word of it is one that is known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from bench.cases import PIPELINE, SCOPES, Limits, Scope, Variant
from bench.gpu import is_gpu
from bench.numbers import known
from bench.subjects.photos import photo_files
from zoo.errors import InputError
from zoo.tasks.class_order import ClassOrder

DEVICE = re.compile(r"cpu|cuda(:[\w/-]+)?")
PLAIN = "plain"  # how an engine is called when no variant is asked for
VARIANTS: tuple[Variant, ...] = get_args(Variant)
QUICK = Limits(seconds=0.25, min_rounds=6)  # less than the half second that `converged` needs: no row can claim it


@dataclass(frozen=True)
class Choices:
    """Empty `backends`, `precisions` and `devices`: those that make sense here. `photos` are for scope image.

    `variants`: `plain` and those of a GPU. `streams`: levels of callers at once. `native`: libzoo's loop beside each
    backend. `labels`, `class_order`: the outputs' names of networks from elsewhere, to evaluate them. `name`: what the
    table calls it, where that is not what the bundle or the folder is called.
    """

    backends: Sequence[str] = ()
    precisions: Sequence[str] = ()
    devices: Sequence[str] = ()
    batches: Sequence[int] = (1, 32)
    threads: int | None = None
    evaluation: Path | None = None
    labels: Path | None = None
    class_order: ClassOrder | None = None
    scopes: Sequence[str] = ("call",)
    photos: Path | None = None
    variants: Sequence[str] = (PLAIN,)
    streams: Sequence[int] = ()
    layers: bool = False
    peers: Sequence[str] = ()
    native: bool = False
    name: str | None = None
    limits: Limits = field(default_factory=Limits)

    def known_scopes(self) -> list[Scope]:
        """The scopes, with the pictures that one of them needs and the others do not take, and the GPU of another."""
        scopes = [known_scope(name) for name in self.scopes]
        if scopes == ["compute"] and not any(is_gpu(device) for device in self.devices):
            raise InputError(
                "scope compute is of a GPU, whose memory is not the host's: --device cuda, or --scope call"
            )
        if ("image" in scopes) != (self.photos is not None):
            raise InputError("scope image and photos belong together: --scope image --photos DIR")
        if self.photos is not None:
            photo_files(self.photos)
        if "image" not in scopes and any(peer.partition("=")[0] == PIPELINE for peer in self.peers):
            raise InputError(f"{PIPELINE} takes pictures: measure it with --scope image --photos DIR")
        return scopes

    def known_variants(self) -> list[Variant | None]:
        """The variants; None is the plain way of calling. Those of a GPU need one among the devices."""
        names = [known(name, (PLAIN, *VARIANTS), "variant") for name in self.variants]
        variants = [None if name == PLAIN else known(name, VARIANTS, "variant") for name in names]
        if any(variants) and not any(is_gpu(device) for device in self.devices):
            raise InputError(f"variant {next(filter(None, variants))} is of a GPU: --device cuda")
        return variants

    def known_devices(self) -> list[str]:
        """The devices, by form; whether one is there is found where it is used."""
        for device in self.devices:
            if not DEVICE.fullmatch(device):
                raise InputError(f"no device '{device}'; write cpu, cuda, cuda:1 or cuda:GPU-<uuid>")
        return list(self.devices)


def known_scope(name: str) -> Scope:
    """A scope by its name."""
    return known(name, SCOPES, "scope")
