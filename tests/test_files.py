"""Files and folders that appear whole or not at all, also when several processes write the same one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zoo.files import atomic_folder

WRITER = """
import sys
from pathlib import Path
from zoo.files import atomic_folder

for turn in range(150):
    with atomic_folder(Path(sys.argv[1])) as folder:
        for name in "abc":
            (folder / name).write_text(f"{sys.argv[2]} {turn}")
"""


def test_processes_that_write_the_same_folder_leave_a_whole_one(tmp_path):
    target = tmp_path / "b.zoo"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(target), name], stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    for writer in writers:
        assert writer.communicate()[1] == ""
        assert writer.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b.zoo"]
    contents = {(target / name).read_text() for name in "abc"}
    assert len(contents) == 1
    assert contents <= {"one 149", "two 149"}


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    target = tmp_path / "b.zoo"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("old")

    def fill() -> None:
        with atomic_folder(target) as folder:
            (folder / "a").write_text("new")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fill()
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b.zoo"]
