"""Asking a teacher about images on this machine: one asker, several threads, each image until there is a reply.

Requests keep to the recipe's rate; what may pass is tried again, a limited number of times; every reply is kept as soon
as it is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter
from tenacity.nap import sleep_using_event
from tenacity.stop import stop_when_event_set

from zoo.errors import EnvironmentProblem, InputError
from zoo.learn.label.config import LabelConfig
from zoo.learn.label.labeller import NoReply, Reply, labeller_class
from zoo.learn.label.pictures import reduced
from zoo.progress import note

LONGEST_BACKOFF = 60.0  # seconds
LONGEST_WAIT = 600.0  # seconds; a service that wants to be left alone for longer is asked another day


@dataclass(frozen=True)
class Question:
    """An image by its name below the folder, and the SHA-256 of its file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """What came of a question: the raw reply, or the `reason` why there is none. `attempts`: requests made."""

    name: str
    sha256: str
    raw: str
    reason: str
    attempts: int


class RateLimit:
    """Lets requests through at `rate` per second, or at once without one. After `hold` all wait for so many seconds."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self, interrupted: threading.Event) -> None:
        """Until it is the caller's turn, or until interrupted."""
        with self._lock:
            turn = max(time.monotonic(), self._next)
            self._next = turn + self._gap
        interrupted.wait(turn - time.monotonic())

    def hold(self, seconds: float) -> None:
        """Keep everybody waiting."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


class Asker:
    """One teacher, shared by several threads. `share`: how many such askers keep to the recipe's rate together."""

    def __init__(self, config: LabelConfig, root: Path, *, share: int = 1) -> None:
        self._config, self._root = config, root
        self._labeller = labeller_class(config.teacher)(config)
        self._limit = RateLimit(config.rate / share if config.rate else None)
        self.interrupted = threading.Event()

    def ask(self, question: Question) -> Outcome | None:
        """What came of it, or None when interrupted before anything did. `ZooError` when no image can be answered."""
        try:
            jpeg = reduced(self._root / question.name, side=self._config.side, quality=self._config.quality)
        except InputError as error:
            return Outcome(question.name, question.sha256, "", str(error), 0)
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, NoReply) and error.again),
            stop=stop_after_attempt(self._config.retries + 1) | stop_when_event_set(self.interrupted),
            wait=wait_exponential_jitter(self._config.backoff, max=LONGEST_BACKOFF, jitter=self._config.backoff),
            sleep=sleep_using_event(self.interrupted),
            reraise=True,
        )
        try:
            raw, reason = retrying(self._once, jpeg).raw, ""
        except NoReply as error:
            if self.interrupted.is_set():
                return None
            raw, reason = error.raw, str(error)
        return Outcome(question.name, question.sha256, raw, reason, retrying.statistics["attempt_number"])

    def _once(self, jpeg: bytes) -> Reply:
        self._limit.wait(self.interrupted)
        if self.interrupted.is_set():
            raise NoReply("interrupted")
        try:
            return self._labeller.ask(jpeg)
        except NoReply as error:
            if error.after > LONGEST_WAIT:
                raise EnvironmentProblem(
                    f"{error}; the service asks to come back in {error.after / 60:.0f} minutes: "
                    "run the same command again then, every reply so far is kept"
                ) from None
            self._limit.hold(error.after)
            raise


def ask_all(config: LabelConfig, root: Path, questions: Iterator[Question], keep: Callable[[Outcome], None]) -> None:
    """Ask every question and `keep` what comes of it. An error or Ctrl-C stops it once what is under way is kept.

    `questions` and `keep` are used by one thread at a time.
    """
    asker = Asker(config, root)
    turn = threading.Lock()

    def work() -> None:
        while not asker.interrupted.is_set():
            with turn:
                question = next(questions, None)
            if question is None:
                return
            if outcome := asker.ask(question):
                with turn:
                    keep(outcome)

    with ThreadPoolExecutor(config.workers) as pool:
        try:
            for done in as_completed([pool.submit(work) for _ in range(config.workers)]):
                done.result()
        except KeyboardInterrupt:
            note("interrupted: waiting for the replies that are under way")
            raise
        finally:
            asker.interrupted.set()
