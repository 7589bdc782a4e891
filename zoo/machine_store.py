"""What was measured on this machine and is worth keeping: one JSON file each, in the user's cache.

    STORE = MachineStore("tuned", Choice, "zoo.tuned/1", log)
    STORE.keep(key, choice)
    STORE.find(lambda: key, "the tuned choice is ignored", objection=lambda choice: "")

`key` is the hex SHA-256 of what the facts belong to: the machine, and with it a bundle or nothing else. A file that is
damaged, or that does not fit any more, is ignored with a line in the log and never an error: a cache can only ever save
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from logging import Logger
from pathlib import Path
from typing import Generic, TypeVar

from zoo.errors import InputError
from zoo.files import cache_folder, write_text
from zoo.schemas import Strict, read_json

Facts = TypeVar("Facts", bound=Strict)
DIGITS = 32  # of the key, in a file's name: 128 bits do not meet by chance


@dataclass(frozen=True)
class MachineStore(Generic[Facts]):
    """The files of one kind of facts: `distilzoo/FOLDER/` in the user's cache, with JSON of `model` and `schema`."""

    folder: str
    model: type[Facts]
    schema: str
    log: Logger

    def place(self, key: str) -> Path:
        """The file of `key`, whether there is one or not. `RuntimeError` for a user without a home."""
        return cache_folder() / self.folder / f"{key[:DIGITS]}.json"

    def keep(self, key: str, facts: Facts) -> Path:
        """Write the file, whole or not at all; returns its path."""
        path = self.place(key)
        write_text(path, facts.model_dump_json(indent=2, by_alias=True) + "\n")
        return path

    def forget(self, key: str) -> bool:
        """Remove the file; False when there was none."""
        path = self.place(key)
        there = path.exists()
        path.unlink(missing_ok=True)
        return there

    def find(self, key: Callable[[], str], ignored: str, *, objection: Callable[[Facts], str]) -> Facts | None:
        """The facts; None where there are none, or where they are of no use: then the log says `ignored` and why.
        `objection`: why facts that were read do not fit, or an empty text.
        """
        try:
            path = self.place(key())
            if not path.exists():
                return None
            facts = read_json(path, self.model, self.schema, missing="")
            why = objection(facts)
        except (InputError, OSError, RuntimeError) as error:  # the last: a user without a home
            why = str(error)
        else:
            if not why:
                return facts
        self.log.warning("%s: %s", ignored, why)
        return None
