"""One way to silence a library whose advice is known, or whose results are checked here by other means."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout


@contextmanager
def quiet(*loggers: str, printing: bool = False, warning: bool = False) -> Iterator[None]:
    """Inside, the named loggers of Python's `logging` let only errors through; "" is the root logger.

    `printing`: the library prints to stdout, and does not inside. `warning`: no Python warning is shown inside. All of
    it is a setting of the process: other threads are silenced too.
    """
    with ExitStack() as stack:
        for name in loggers:
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        if warning:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        if printing:
            stack.enter_context(redirect_stdout(io.StringIO()))
        yield
