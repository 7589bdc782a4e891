"""What a command printed."""

from __future__ import annotations


def one_line(stderr: str) -> str:
    """The only line on stderr; more than one, or a traceback, fails the test."""
    lines = [line for line in stderr.splitlines() if line.startswith("zoo: ")]
    assert "Traceback" not in stderr, stderr
    assert len(lines) == 1, stderr
    return lines[0]
