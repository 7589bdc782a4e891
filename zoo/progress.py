"""Progress of long work, on stderr: what is being done, how far it is, how much time is left.

On a terminal this is one live display, shared by everything that runs inside it. Elsewhere (a CI log) each piece of
work is one line when it starts and one when it ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Advance = Callable[..., None]

console = Console(stderr=True)
_live: Progress | None = None
_share: Advance | None = None  # how the next `track` moves the whole that it is a stage of


def _display() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        refresh_per_second=4,  # a refresh costs 3 ms of CPU, and engines are timed while it shows
        speed_estimate_period=600,  # stages may last minutes; rich looks back 30 seconds by itself
    )


@contextmanager
def track(description: str, total: float, *, quiet_log: bool = False) -> Iterator[Advance]:
    """Show `description` while the block runs; yields `advance(amount=1)`.

    `quiet_log` keeps short work out of a log that is not a terminal.
    """
    global _live, _share
    share, _share = _share, None
    began = time.monotonic()
    say = not console.is_terminal and not quiet_log
    if say:
        console.print(f"{description} ...", highlight=False)
    outermost = _live is None
    display = _live = _live or _display()
    if outermost:
        display.start()
    task = display.add_task(description, total=total)

    def advance(amount: float = 1) -> None:
        display.advance(task, amount)
        if share is not None:
            share(amount / total)

    try:
        yield advance
    finally:
        display.remove_task(task)
        if outermost:
            display.stop()
            _live = None
    if say:
        console.print(f"{description}: {time.monotonic() - began:.1f} s", highlight=False)


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
