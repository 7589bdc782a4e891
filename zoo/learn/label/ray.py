"""Labelling on many machines: Ray Data maps the questions through askers, and the driver keeps the replies.

Every machine sees the images, and the onnx file, under the same path, and has the key in its own environment. Killing
the driver loses the replies that were under way to it: about `BLOCK` images for each worker.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from zoo.errors import EnvironmentProblem, InputError, ZooError, missing_package
from zoo.learn.label.ask import Asker, Outcome, Question
from zoo.learn.label.config import LabelConfig

BLOCK = 8  # images that travel together
MOST_BLOCKS = 20_000  # each costs the driver a millisecond and a kilobyte
STOPS = {kind.__name__: kind for kind in (ZooError, InputError, EnvironmentProblem)}


class _Worker:
    """One asker in a process of its own, with its share of the rate."""

    def __init__(self, config: LabelConfig, root: Path) -> None:
        self._config, self._root = config, root
        self._stopped: ZooError | None = None

    @cached_property
    def _asker(self) -> Asker:
        return Asker(self._config, self._root, share=self._config.workers)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """An outcome, or in `stop` the error that ends all work: Ray would wrap it beyond recognition."""
        if self._stopped is None:
            try:
                outcome = self._asker.ask(Question(**row))
                assert outcome is not None  # nobody interrupts it
                return asdict(outcome) | {"stop": ""}
            except ZooError as error:
                self._stopped = error
        stopped = Outcome(**row, raw="", reason=str(self._stopped), attempts=0)
        return asdict(stopped) | {"stop": type(self._stopped).__name__}


def ask_all(config: LabelConfig, root: Path, questions: Iterator[Question], keep: Callable[[Outcome], None]) -> None:
    """Ask every question on the cluster that `config.ray` names, and `keep` what comes of it."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise missing_package("ray", "label", "labelling on many machines") from None
    rows = [asdict(question) for question in questions]
    if not rows:
        return
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # errors are raised as well
    try:
        _knock(config.ray)
        ray.init(address=config.ray, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"no Ray cluster at '{config.ray}': {error}") from None
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        paths = {key: path.resolve() for key in ("onnx", "labels") if (path := getattr(config, key))}
        blocks = min(-(-len(rows) // BLOCK), MOST_BLOCKS)
        answered = ray.data.from_items(rows, override_num_blocks=blocks).map(
            cast(Any, _Worker),  # its instances are what is called
            fn_constructor_args=(config.model_copy(update=paths), root.resolve()),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=config.workers),
            num_cpus=0.1 if config.teacher == "vision" else 1,  # a remote teacher is mostly waited for
        )
        for row in answered.iter_rows():
            if stop := row.pop("stop"):
                raise STOPS[stop](row["reason"])
            keep(Outcome(**row | {"attempts": int(row["attempts"])}))
    except ray.exceptions.RayError as error:
        raise EnvironmentProblem(f"Ray gave up: {' '.join(str(error).split())[:300]}") from None
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Is anybody there? Ray itself takes a quarter of an hour to find out."""
    if address not in {"local", "auto"}:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), timeout=10).close()
