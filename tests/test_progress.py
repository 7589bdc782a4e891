"""Progress in a log: a line at the start, one a minute, one at the end; a failure shows no second error."""

from __future__ import annotations

import io
import re
import threading

import pytest
from rich.console import Console

from tests.support.pictures import RECIPE
from zoo import progress
from zoo.progress import _Work, track


@pytest.fixture
def log(monkeypatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, width=200))
    return text


def test_a_log_gets_a_line_a_minute_from_the_innermost_work(log, monkeypatch) -> None:
    minutes, told = iter(range(3)), threading.Event()

    def over(ended: threading.Event) -> bool:
        """Three minutes pass at once; the work ends in the fourth."""
        if next(minutes, None) is not None:
            return False
        told.set()
        return ended.wait()

    monkeypatch.setattr(progress, "_over", over)
    with track("a run", 2), track("its long stage", 10, quiet_log=True) as advance:
        advance(4, status="loss 0.512")
        told.wait()
        work = progress._works[-1]
        assert work.line(work.began + 120) == "its long stage: 40 %, about 3 min left, loss 0.512"
    lines = log.getvalue().splitlines()
    assert lines[0] == "a run ..."
    assert re.fullmatch(r"a run: [\d.]+ s", lines[-1])
    assert len(lines[1:-1]) == 3
    assert all(line.startswith(("a run: ", "its long stage: ")) for line in lines[1:-1])


def test_what_an_earlier_run_did_tells_nothing_of_the_time_that_is_left() -> None:
    work = _Work("training", total=100, began=0, done=60, earlier=50)
    assert work.line(100) == "training: 60 %, about 7 min left"
    assert _Work("training", total=100, began=0, done=50, earlier=50).line(9) == "training: 50 %"
    assert _Work("nothing", total=0, began=0).line(9) == "nothing"
    assert _Work("training", total=100, began=0, done=1).line(200) == "training: 1 %, about 5.5 h left"


def test_a_terminal_shows_the_status_beside_the_bar(monkeypatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, width=120, force_terminal=True))
    with track("training", 4) as advance:
        advance(1, status="loss 0.512, 81.00 % right")
        progress._live.refresh()
    assert "loss 0.512, 81.00 % right" in text.getvalue()


def test_a_training_says_its_loss_and_accuracy(zoo_command, pictures, tmp_path) -> None:
    (tmp_path / "shapes.toml").write_text(RECIPE.format(path=pictures))
    words = ("train", "shapes.toml", "--set", "train.epochs=1", "--only", "vgg", "-o", "run")
    done = zoo_command(*words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"vgg-control: [\d.]+ s, loss \d\.\d{3}, [\d.]+ % right", " ".join(done.stderr.split()))


def test_a_failure_in_the_work_is_the_only_error(log) -> None:
    with pytest.raises(ZeroDivisionError), track("a run", 2):
        _ = 1 / 0
    assert progress._live is None
    assert progress._works == []
    assert "Traceback" not in log.getvalue()
