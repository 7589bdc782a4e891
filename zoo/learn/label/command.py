"""Any program as a teacher: it gets a JPEG and prints `{"tag": score, ...}`."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import EnvironmentProblem
from zoo.learn.label.labeller import NoReply, Reply, read_plain

if TYPE_CHECKING:
    from zoo.learn.label.config import LabelConfig

IMAGE = "{image}"


class Command:
    """Started once for each image, without a shell. Exit code 0 and JSON on stdout are a reply."""

    def __init__(self, config: LabelConfig) -> None:
        self._words, self._timeout = config.command, config.timeout

    def ask(self, jpeg: bytes) -> Reply:
        """The image goes to stdin or, where a word holds `{image}`, into a file."""
        if not any(IMAGE in word for word in self._words):
            return self._run(list(self._words), jpeg)
        with tempfile.TemporaryDirectory(prefix="zoo-label-") as folder:
            path = Path(folder) / "image.jpg"
            path.write_bytes(jpeg)
            return self._run([word.replace(IMAGE, str(path)) for word in self._words], b"")

    @staticmethod
    def identity(config: LabelConfig) -> dict[str, str]:
        """The command's words."""
        return {"command": " ".join(config.command)}

    read = staticmethod(read_plain)

    def _run(self, words: list[str], given: bytes) -> Reply:
        try:
            # A session of its own: Ctrl-C in the terminal lets it finish what it was asked.
            done = subprocess.run(
                words, input=given, capture_output=True, timeout=self._timeout, check=False, start_new_session=True
            )
        except subprocess.TimeoutExpired:
            raise NoReply(f"{words[0]} took longer than {self._timeout:g} s") from None
        except OSError as error:
            raise EnvironmentProblem(f"cannot run {words[0]}: {error.strerror}") from None
        raw = done.stdout.decode("utf-8", "replace")
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise NoReply(f"{words[0]} ended with {done.returncode}" + (f": {said[-1]}" if said else ""), raw=raw)
        return Reply(raw, self.read(raw))
