"""`zoo label` run again: what is asked about once more after a failure, a stop or a change, and what is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.support.command import one_line
from tests.support.fakes.vision_service import environment, rows, write_photos, write_recipe


def test_failures_are_named_and_asked_about_again(label, service, tmp_path):
    write_photos(tmp_path / "photos", 6)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    bad: list[str] = []

    def fault(image: str, nth: int) -> str:
        with service.lock:
            if not bad:
                bad.append(image)
        return "malformed" if image == bad[0] else ""

    service.fault = fault
    done = label("retries=1")
    assert done.returncode == 1
    assert "2 of 7 images failed and 1 % may" in one_line(done.stderr)
    assert "no reply: broken.jpg: cannot read" in done.stderr
    assert "malformed reply: responses: Input should be a valid array" in done.stderr
    failed = [row for row in rows(tmp_path / "out").values() if row["status"] == "failed"]
    assert {row["attempts"] for row in failed} == {0, 2}
    assert '{"labelAnnotations": []}' in "".join(row["raw"] for row in failed)

    service.fault = lambda image, nth: ""
    (tmp_path / "photos" / "broken.jpg").unlink()
    done = label("max_failures=0")
    assert done.returncode == 0, done.stderr
    assert set(service.answered.values()) == {1}
    assert "6 of 6 images answered (1 asked about just now), 0 failed" in done.stdout


def test_answers_to_another_question_are_not_mixed(label, service, tmp_path):
    write_photos(tmp_path / "photos", 2)
    assert label().returncode == 0
    done = label("side=48", "quality=80", "rate=50", "backoff=0")
    assert done.returncode == 2
    assert "holds other replies: quality is 90 there and 80 here; side is 32 there and 48 here" in one_line(done.stderr)
    assert label("rate=50", "backoff=0", "workers=1").returncode == 0


def test_a_changed_image_is_asked_about_again_and_a_removed_one_forgotten(label, service, tmp_path):
    photos = write_photos(tmp_path / "photos", 4)
    assert label().returncode == 0
    Image.new("RGB", (64, 48), "navy").save(photos / "a" / "000.png")
    (photos / "a" / "002.png").unlink()
    done = label(words=("--json",))
    told = json.loads(done.stdout)
    assert (told["images"], told["asked"], told["answered"]) == (3, 1, 3)


def test_a_limit_spends_a_budget_in_parts(label, service, tmp_path):
    write_photos(tmp_path / "photos", 5)
    asked = [json.loads(label(words=("--limit", n, "--json")).stdout)["asked"] for n in (0, 3, 3)]
    assert asked == [0, 3, 2]


def start(folder: Path) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("zoo")), "label", "recipe.toml", "--out", "out"]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_answered_before_it_was_stopped_is_never_asked_again(label, service, tmp_path, how):
    write_photos(tmp_path / "photos", 60)
    write_recipe(tmp_path, service)
    service.delay = 0.05
    process = start(tmp_path)
    wait_for(lambda: service.answered.total() >= 15)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in said

    answered = Counter(service.answered)
    kept = sum(row["status"] == "answered" for row in rows(tmp_path / "out").values())
    under_way = 0 if how == signal.SIGINT else 4  # killed, each worker may lose the one that was on its way
    assert answered.total() - under_way <= kept < 60

    service.delay = 0.0
    done = label(words=("--json",))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["answered"], told["asked"]) == (60, 60 - kept)
    assert len(service.answered) == 60
    assert service.answered.total() <= 60 + under_way


def test_two_at_a_time_are_refused(label, service, tmp_path):
    write_photos(tmp_path / "photos", 20)
    write_recipe(tmp_path, service)
    service.delay = 0.3
    process = start(tmp_path)
    wait_for(lambda: service.asked.total() > 0)
    done = label()
    process.communicate(timeout=60)
    assert done.returncode == 2
    assert "in use: another zoo label writes to it" in one_line(done.stderr)
    assert set(service.asked.values()) == {1}
