"""Progress of long work, on stderr: what is being done, how far it is, how much time is left.

On a terminal this is one live display, shared by everything that runs inside it. Elsewhere (a CI log) each piece of
work is a line when it starts, one a minute while it lasts, and one when it ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[..., None]

console = Console(stderr=True)
EVERY = 60.0  # seconds between two lines of a log
_live: Progress | None = None
_share: Advance | None = None  # how the next `track` moves the whole that it is a stage of


@dataclass
class _Work:
    """One piece of work, as a log tells of it."""

    description: str
    total: float
    began: float
    done: float = 0.0
    earlier: float = 0.0  # of `done`, what an earlier run did: it says nothing of the time that the rest takes
    status: str = ""

    def line(self, now: float) -> str:
        """`digits: vgg: 40 %, about 3 min left, loss 0.512`."""
        here, rest = self.done - self.earlier, self.total - self.done
        said = [f"{self.description}: {100 * min(self.done / self.total, 1):.0f} %" if self.total else self.description]
        if here > 0 and rest > 0:
            said.append(f"about {_duration((now - self.began) * rest / here)} left")
        return ", ".join([*said, self.status] if self.status else said)


_works: list[_Work] = []  # the pieces that are under way, the innermost last


def _display() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
        console=console,
        transient=True,
        refresh_per_second=4,  # a refresh costs 3 ms of CPU, and engines are timed while it shows
        speed_estimate_period=600,  # stages may last minutes; rich looks back 30 seconds by itself
    )


@contextmanager
def track(description: str, total: float, *, quiet_log: bool = False) -> Iterator[Advance]:
    """Show `description` while the block runs; yields `advance(amount=1, status="", earlier=False)`.

    `status`: a few words on how it goes, such as a loss; they stay until other words come. `earlier`: the amount was
    done by an earlier run. `quiet_log` keeps the first and the last line of short work out of a log.
    """
    global _live, _share
    share, _share = _share, None
    work = _Work(description, total, time.monotonic())
    log = not console.is_terminal
    if log and not quiet_log:
        console.print(f"{description} ...", highlight=False)
    outermost = _live is None
    display = _live = _live or _display()
    if outermost and not log:
        display.start()
    task = display.add_task(description, total=total, status="")

    def advance(amount: float = 1, status: str = "", earlier: bool = False) -> None:
        work.done += amount
        work.earlier += amount if earlier else 0
        work.status = status or work.status
        display.update(task, advance=amount, status=work.status)
        if share is not None:
            share(amount / total)

    _works.append(work)
    try:
        with _a_line_a_minute() if log and outermost else nullcontext():
            yield advance
    finally:
        _works.remove(work)
        display.remove_task(task)
        if outermost:
            if not log:
                display.stop()
            _live = None
    if log and not quiet_log:
        seconds = f"{time.monotonic() - work.began:.1f} s"
        console.print(", ".join(part for part in (f"{description}: {seconds}", work.status) if part), highlight=False)


@contextmanager
def _a_line_a_minute() -> Iterator[None]:
    """Tell a log every `EVERY` seconds how far the innermost piece of work is. A thread does it, and sleeps between."""
    ended = threading.Event()

    def tell() -> None:
        while not _over(ended):
            if _works:
                note(_works[-1].line(time.monotonic()))

    thread = threading.Thread(target=tell, name="zoo-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _over(ended: threading.Event) -> bool:
    """Whether the work ended within `EVERY` seconds."""
    return ended.wait(EVERY)


def _duration(seconds: float) -> str:
    """`40 s`, `3 min`, `2.5 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def stages(title: str, seconds: float) -> Iterator[Callable[[str, float], AbstractContextManager[None]]]:
    """Show how far a long piece of work is as a whole; yields `stage(name, seconds)`, a context manager.

    `seconds` are what the whole and its stages take somewhere: only their proportions matter. The first `track` inside
    a stage moves the whole as well.
    """
    with track(title, seconds) as advance:

        @contextmanager
        def stage(name: str, weight: float) -> Iterator[None]:
            global _share
            done = 0.0

            def move(fraction: float) -> None:
                nonlocal done
                amount = min(fraction * weight, weight - done)
                done += amount
                advance(amount)

            note(f"{title}: {name}")
            _share = move
            try:
                yield
            finally:
                _share = None
            move(1.0)

        yield stage


def note(line: str) -> None:
    """One line of information on stderr, above any live display; paths in it are not broken."""
    (_live.console if _live else console).print(line, highlight=False, markup=False, soft_wrap=True)
