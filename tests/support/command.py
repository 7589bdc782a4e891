"""The `zoo` command in this process, and what a command printed or logged.

A process of its own costs seconds of imports, so a test starts one only where a process is what it tests: the fixture
`zoo_process`, or an option that only a process has (`preexec_fn`).
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


def one_line(stderr: str) -> str:
    """The only line on stderr; more than one, or a traceback, fails the test."""
    lines = [line for line in stderr.splitlines() if line.startswith("zoo: ")]
    assert "Traceback" not in stderr, stderr
    assert len(lines) == 1, stderr
    return lines[0]


def in_process(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`zoo WORDS` run in `cwd` by this process: exit code, and all that went to file descriptors 1 and 2.

    `env` is the whole environment meanwhile; what a library read of it when it was imported stays as it was.
    """
    from zoo.cli import main

    code = 1
    with _settings_kept(), contextlib.chdir(cwd), _captured() as (out, err):
        if env is not None:
            os.environ.clear()
            os.environ.update(env)
        sys.argv = ["zoo", *words]
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        except Exception:
            traceback.print_exc()
    return subprocess.CompletedProcess(["zoo", *words], code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _captured() -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """What is written to file descriptors 1 and 2, by Python or by libraries, as the text of two buffers afterwards."""
    texts = io.StringIO(), io.StringIO()
    before = sys.stdout, sys.stderr
    saved = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        for file, number in ((out, 1), (err, 2)):
            os.dup2(file.fileno(), number)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(os.dup(n), "wb"), "utf-8", write_through=True) for n in (1, 2)
        )
        try:
            yield texts
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.close()
            sys.stdout, sys.stderr = before
            for number, kept in zip((1, 2), saved, strict=True):
                os.dup2(kept, number)
                os.close(kept)
            for file, text in zip((out, err), texts, strict=True):
                file.seek(0)
                text.write(file.read().decode())


@contextlib.contextmanager
def _settings_kept() -> Iterator[None]:
    """Settings of the whole process that a command may change are as before when it has ended."""
    argv, environment = sys.argv, dict(os.environ)
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    try:
        yield
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)
        if torch:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def logged(name: str) -> Iterator[list[str]]:
    """The messages of the logger `name` and those below it, as they come."""
    found: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, log = Keep(), logging.getLogger(name)
    log.addHandler(handler)
    try:
        yield found
    finally:
        log.removeHandler(handler)
