"""`answers.sqlite`: every raw reply, with the image it is about and the teacher that gave it.

One row for each image, committed when its reply comes: whatever kills the process loses nothing. One writer at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from zoo.errors import EnvironmentProblem, InputError
from zoo.learn.label.ask import Outcome

SCHEMA = "zoo.answers/1"
TABLES = """
CREATE TABLE IF NOT EXISTS header (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    name TEXT PRIMARY KEY,      -- of the image, relative to the folder
    sha256 TEXT NOT NULL,       -- of the image file
    status TEXT NOT NULL,       -- 'answered' or 'failed'
    reason TEXT NOT NULL,       -- why it failed
    raw TEXT NOT NULL,          -- what the teacher said, word for word
    attempts INTEGER NOT NULL,  -- requests that were made
    time TEXT NOT NULL          -- UTC, ISO 8601
) WITHOUT ROWID;
"""


class ReplyStore:
    """The file, open for writing until the block ends. Any thread may use it, one at a time."""

    def __init__(self, path: Path, identity: dict[str, str]) -> None:
        """Open or make the file at `path`. `InputError` when its replies are another teacher's, by what differs."""
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._errors():
            self._file = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            self._file.execute(
                "PRAGMA locking_mode = EXCLUSIVE"
            )  # until closed: two writers would ask everything twice
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = FULL")  # a reply may have cost money: a power cut keeps it too
            self._file.executescript(TABLES)
            self._check(identity | {"schema": SCHEMA})

    def __enter__(self) -> ReplyStore:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def has(self, name: str, sha256: str) -> bool:
        """Whether this very image is answered."""
        query = "SELECT 1 FROM answers WHERE name = ? AND sha256 = ? AND status = 'answered'"
        with self._errors():
            return self._file.execute(query, (name, sha256)).fetchone() is not None

    def keep(self, outcome: Outcome) -> None:
        """Write what came of a question: it is on the disk when this returns."""
        row = (
            outcome.name,
            outcome.sha256,
            "failed" if outcome.reason else "answered",
            outcome.reason,
            outcome.raw,
            outcome.attempts,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        with self._errors():
            self._file.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def raw(self) -> Iterator[tuple[str, str]]:
        """(name, raw reply) of the answered images, by name."""
        yield from self._file.execute("SELECT name, raw FROM answers WHERE status = 'answered' ORDER BY name")

    def reasons(self) -> dict[str, str]:
        """Of every image that was asked about, by name: why there is no reply, or '' where there is one."""
        return dict(self._file.execute("SELECT name, reason FROM answers ORDER BY name"))

    def _check(self, identity: dict[str, str]) -> None:
        stored = dict(self._file.execute("SELECT key, value FROM header"))
        if not stored:
            self._file.execute("BEGIN")
            self._file.executemany("INSERT INTO header VALUES (?, ?)", identity.items())
            self._file.execute("COMMIT")
        elif different := [key for key in sorted(stored.keys() | identity) if stored.get(key) != identity.get(key)]:
            said = "; ".join(f"{key} is {stored.get(key)} there and {identity.get(key)} here" for key in different)
            raise InputError(f"{self.path} holds other replies: {said}; --out DIR starts anew")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name == "SQLITE_BUSY":
                raise InputError(f"{self.path} is in use: another zoo label writes to it") from None
            if name == "SQLITE_NOTADB":
                raise InputError(f"{self.path} is not a file of replies") from None
            raise EnvironmentProblem(f"{self.path}: {error}") from None
