"""`zoo build --backend tensorrt` that is interrupted, runs out of disk, or runs twice at the same time."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from export.build.tensorrt.build import build
from export.build.tensorrt.compiler import Options
from tests.support.plans import engine_folder, load
from zoo.engines import Bundle
from zoo.files import locked


def test_ctrl_c_stops_the_build_and_leaves_what_was_there(copy, world):
    build(Bundle.open(copy), "fp32")
    before = {path: path.read_bytes() for path in engine_folder(copy, "fp32").iterdir()}
    seen: list[int] = []

    def interrupt(step: int) -> None:
        seen.append(step)
        if step == 1:
            import signal
            import time

            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)  # TensorRT goes on until its monitor says no

    world.at_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        build(Bundle.open(copy), "fp32", Options((1, 1, 1)))
    assert seen == [0, 1]
    assert {path: path.read_bytes() for path in engine_folder(copy, "fp32").iterdir()} == before
    assert [path.name for path in (copy / "engines").iterdir() if path.name.endswith(".tmp")] == []
    world.at_step = lambda step: None
    load(copy, "fp32")


def test_a_full_disk_leaves_what_was_there(copy, world, monkeypatch):
    build(Bundle.open(copy), "fp32")
    before = (engine_folder(copy, "fp32") / "sidecar.json").read_bytes()
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "engine.plan":
            write(path, data[: len(data) // 2])
            raise OSError(28, "No space left on device", str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        build(Bundle.open(copy), "fp32", Options((1, 1, 1)))
    assert (engine_folder(copy, "fp32") / "sidecar.json").read_bytes() == before
    load(copy, "fp32")


def test_two_builds_of_one_engine_make_one(copy, world, capsys):
    """The second waits for the first, and then finds what it wanted. Locks are between processes, or open files."""
    started, results = threading.Event(), []

    def slow(step: int) -> None:
        started.set()

    world.at_step = slow
    with locked(copy / "engines" / f".{engine_folder(copy, 'fp32').name}.lock", waiting=lambda: None):
        other = threading.Thread(target=lambda: results.append(build(Bundle.open(copy), "fp32")))
        other.start()
        assert not started.wait(0.2)  # it waits outside
    results.append(build(Bundle.open(copy), "fp32"))
    other.join()
    assert sorted(built for _, built in results) == [False, True]
    assert world.builds == 1
    assert "another process builds tensorrt-fp32-nvidia-test-gpu-11.4.0.106" in capsys.readouterr().err
