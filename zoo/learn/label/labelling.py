"""Labelling a folder of images: which are asked about, what is kept of the replies, and when that is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from zoo.errors import EnvironmentProblem
from zoo.files import sha256
from zoo.learn.label import pairs, pictures
from zoo.learn.label.ask import Outcome, Question, ask_all
from zoo.learn.label.config import LabelConfig
from zoo.learn.label.labeller import identity, labeller_class
from zoo.learn.label.store import ReplyStore
from zoo.progress import Advance, track

REPLIES = "answers.sqlite"
MISSES = 50  # this many images in a row without a reply: the teacher is not there


@dataclass(frozen=True)
class Labelled:
    """Of `images` in the folder: how many are `answered`, how many were `asked` about just now, and why others failed,
    by name. `tags`: how many of the replies' tags are in the index.
    """

    images: int
    answered: int
    asked: int
    failures: dict[str, str]
    tags: int

    def enough(self, max_failures: float) -> bool:
        """Whether no larger share of what was asked about has failed, and not all of it."""
        failed = len(self.failures)
        return not failed or (self.answered > 0 and failed <= max_failures * (self.answered + failed))


def label_folder(config: LabelConfig, root: Path, out: Path, *, limit: int | None = None) -> Labelled:
    """Ask about every image below `root` that has no reply in `out` yet, `limit` of them at most; then write tag index
    and pairs. `ZooError` when the teacher cannot be asked at all; what it answered before is kept.
    """
    names = pictures.find(root)
    asked = misses = 0

    with ReplyStore(out / REPLIES, identity(config)) as replies:

        def keep(outcome: Outcome) -> None:
            nonlocal asked, misses
            replies.keep(outcome)
            advance()
            asked += outcome.attempts > 0
            if not outcome.reason:
                misses = 0
            elif outcome.attempts and (misses := misses + 1) == MISSES:
                raise EnvironmentProblem(
                    f"{MISSES} images in a row got no reply, the last because of: {outcome.reason}; "
                    "what was answered is kept, run the same command again when that is solved"
                )

        with track(f"asking {config.teacher}", len(names)) as advance:
            questions = islice(_unanswered(root, names, replies, advance), limit)
            _ask_all(config)(config, root, questions, keep)

        reasons = replies.reasons()
        read, there = labeller_class(config.teacher).read, set(names)
        tags = pairs.write(out, ((name, read(raw)) for name, raw in replies.raw() if name in there), keep=config.tags)
    failures = {name: reasons[name] for name in names if reasons.get(name)}
    return Labelled(len(names), sum(reasons.get(name) == "" for name in names), asked, failures, tags)


def _ask_all(config: LabelConfig) -> Callable[[LabelConfig, Path, Iterator[Question], Callable[[Outcome], None]], None]:
    if config.ray:
        from zoo.learn.label import ray

        return ray.ask_all
    return ask_all


def _unanswered(root: Path, names: list[str], replies: ReplyStore, advance: Advance) -> Iterator[Question]:
    for name in names:
        digest = _digest(root / name)
        if replies.has(name, digest):
            advance()
        else:
            yield Question(name, digest)


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError:  # it vanished, or may not be read: that is said when it is opened
        return ""
