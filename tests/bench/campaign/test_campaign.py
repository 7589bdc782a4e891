"""Campaigns: what a file may say, what runs, what is cut and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from bench.campaign import child, text
from bench.campaign import run as running
from bench.campaign.config import Campaign, Step, load, path_of, shipped, steps
from bench.campaign.run import Runner
from bench.campaign.state import read_state
from bench.results import read_results
from tests.support.tiny import tiny_bundle
from zoo.errors import Inconclusive, InputError, VerdictError

# A `zoo` whose commands do little: `write FILE TEXT`, `fail WORDS`, and `count FILE N`, which takes a tenth of a second
# for each number, leaves what it has when interrupted, and goes on from there with --resume; and `end FILE`, which
# waits to be interrupted, and then comes to its end.
COMMANDS = """
import pathlib, sys, time
word, first, *rest = sys.argv[1:]
file = pathlib.Path(first)
if word == "write":
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(" ".join(rest))
elif word == "fail":
    print("before the end")
    print(f"zoo: {first}", file=sys.stderr)
    sys.exit(2)
elif word == "count":
    done = int(file.with_suffix(".part").read_text()) if "--resume" in rest else 0
    try:
        while done < int(rest[0]):
            time.sleep(0.1)
            done += 1
    except KeyboardInterrupt:
        file.with_suffix(".part").write_text(str(done))
        sys.exit(130)
    file.write_text(str(done))
elif word == "end":
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        file.write_text("whole")
elif word == "meet":  # its own FILE, that of another, and where both say when they begin and end
    def say(what):
        with open(rest[1], "a") as diary:
            diary.write(f"{file.name} {what}\\n")
    say("begins")
    file.write_text("")
    end = time.monotonic() + 30
    while not pathlib.Path(rest[0]).exists():
        if time.monotonic() > end:
            sys.exit(1)
        time.sleep(0.02)
    say("ends")
"""


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "commands.py"
    script.write_text(COMMANDS)
    monkeypatch.setattr(child, "ZOO", [sys.executable, str(script)])
    monkeypatch.setattr(child, "GRACE", 3.0)
    monkeypatch.setattr(running, "GRACE", 3.0)
    monkeypatch.setattr(running, "WORTH_STARTING", 0.5)


def planned(tmp_path: Path, toml: str) -> list[Step]:
    file = tmp_path / "campaign.toml"
    file.write_text(toml)
    out = tmp_path / "out"
    return steps(load(file), {"out": out, "data": tmp_path / "data", "results": out / "results", "file": file})


STEP = """
[[steps]]
name = "{name}"
run = "{run}"
makes = ["{makes}"]
seconds = {seconds}
"""


def step(name: str, run: str, makes: str, seconds: float = 1, more: str = "") -> str:
    return STEP.format(name=name, run=run, makes=makes, seconds=seconds) + more


def test_a_step_stands_for_every_combination_of_its_values(tmp_path: Path) -> None:
    found = planned(
        tmp_path,
        'about = ""\nlists.seeds = [0, 1]\n'
        + step("{method.name}-{seed}", "write {out}/{method.name}-{seed} {method.set}", "{out}/{method.name}-{seed}")
        + 'each.method = [{name = "kd", set = "{a = 1}"}, {name = "dkd", set = "two words"}]\neach.seed = "seeds"\n',
    )
    assert [one.name for one in found] == ["kd-0", "kd-1", "dkd-0", "dkd-1"]
    assert found[2].command == ("write", f"{tmp_path}/out/dkd-0", "two words")  # a value is one word
    assert found[0].command[-1] == "{a = 1}"  # and braces that hold no name are left alone


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('about = ""\n', "steps: Field required"),
        ('about = ""\nsteps = []\n', "steps: Tuple should have at least 1 item"),
        ('about = ""\n' + step("a", "write {place}/a", "a"), "step a: nothing fills {place}"),
        ('about = ""\n' + step("a", "write a", "a") + step("a", "write a", "a"), "two steps are called 'a'"),
        ('about = ""\n' + step("a", "write a", "a", more='after = ["b"]\n'), "waits for 'b', and no step before it"),
        ('about = ""\n' + step("a", "write a", "a", more='each.x = "ys"\n'), "no list is called 'ys'"),
        ('about = ""\n' + step("a", "write a", "a", more="second = 1\n"), "second: Extra inputs are not permitted"),
        ("about = ", "Invalid value"),
    ],
)
def test_a_mistake_in_the_file_is_said_before_anything_runs(tmp_path: Path, toml: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, toml)
    assert says in str(caught.value)


def test_an_unknown_campaign_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"shipped: cpu_engines, first_look, h200, smoke; did you mean 'smoke'\?"):
        path_of("smok")


@pytest.mark.parametrize("name", shipped())
def test_every_command_of_a_shipped_campaign_is_one_that_zoo_takes(name: str, tmp_path: Path) -> None:
    """Parsed by the real command line, option by option, and not run."""
    from zoo.cli import _compose

    places = dict.fromkeys(("out", "data", "results", "file"), tmp_path)
    root = get_command(_compose())
    for one in steps(load(shipped()[name]), places):
        for words in (one.command, one.command + (one.resumed or ())):
            command, rest, context = root, list(words), None
            while hasattr(command, "commands"):
                context = command.make_context("zoo", list(rest), parent=context, resilient_parsing=True)
                command, rest = command.commands[rest[0]], rest[1:]
            command.make_context(one.name, rest)  # raises for an option or a value that is not known


@pytest.mark.usefixtures("commands")
def test_steps_run_in_order_once_and_again_when_their_command_or_files_changed(tmp_path: Path) -> None:
    toml = 'about = ""\n' + step("a", "write {out}/a one", "{out}/a") + step("b", "write {out}/b two", "{out}/b")
    out = tmp_path / "out"
    assert {one.status for one in Runner("try", planned(tmp_path, toml), out).run().values()} == {"done"}
    assert (out / "a").read_text() == "one"

    (out / "a").write_text("kept")
    (out / "b").unlink()
    Runner("try", planned(tmp_path, toml), out).run()
    assert (out / "a").read_text() == "kept"
    assert (out / "b").read_text() == "two"

    Runner("try", planned(tmp_path, toml.replace("one", "three")), out).run()
    assert (out / "a").read_text() == "three"


@pytest.mark.usefixtures("commands")
def test_with_several_jobs_steps_run_beside_each_other_unless_they_time_something(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()

    def meeting(name: str, other: str, more: str) -> str:
        return step(name, f"meet {{out}}/{name} {{out}}/{other} {{out}}/diary", f"{{out}}/{name}", more=more)

    toml = (
        'about = ""\n'
        + meeting("a", "b", "alone = false\n")
        + meeting("b", "a", "alone = false\n")
        + meeting("timed", "timed", 'after = ["a"]\n')
        + meeting("c", "c", 'alone = false\nafter = ["timed"]\n')
        + meeting("d", "d", 'alone = false\nafter = ["c"]\n')
    )
    found = Runner("try", planned(tmp_path, toml), tmp_path / "out", jobs=3).run()
    assert {one.status for one in found.values()} == {"done"}
    diary = (tmp_path / "out/diary").read_text().splitlines()
    assert set(diary[:2]) == {"a begins", "b begins"}
    assert diary[4:] == [f"{name} {what}" for name in ("timed", "c", "d") for what in ("begins", "ends")]


@pytest.mark.usefixtures("commands")
def test_at_the_end_of_a_slice_all_that_run_are_cut_and_go_on(tmp_path: Path) -> None:
    more = 'alone = false\nresumed = "--resume"\n'
    toml = 'about = ""\n' + "".join(step(name, f"count {{out}}/{name} 25", f"{{out}}/{name}", 3, more) for name in "ab")
    out = tmp_path / "out"
    found = Runner("try", planned(tmp_path, toml), out, seconds=running.GRACE + 1.5, jobs=2).run()
    assert [(one.status, one.reason) for one in found.values()] == [("cut", "the slice was over")] * 2
    found = Runner("try", planned(tmp_path, toml), out, jobs=2).run()
    assert [(one.status, one.slices) for one in found.values()] == [("done", 2)] * 2


@pytest.mark.usefixtures("commands")
def test_a_failure_keeps_the_rest_going_and_is_tried_again(tmp_path: Path) -> None:
    toml = (
        'about = ""\n'
        + step("bad", "fail 'no such thing'", "{out}/bad")
        + step("behind", "write {out}/behind x", "{out}/behind", more='after = ["bad"]\n')
        + step("gpu", "write {out}/gpu x", "{out}/gpu", more='needs = ["{out}/no/such/thing"]\n')
        + step("good", "write {out}/good-1 x", "{out}/good-1")
        + step("lies", "write {out}/elsewhere x", "{out}/lies")
        + step("join", "write {out}/join {out}/good-*", "{out}/join", more='after = ["*o*d"]\n')
    )
    found = Runner("try", planned(tmp_path, toml), tmp_path / "out").run()
    assert {name: one.status for name, one in found.items()} == {
        "bad": "failed",
        "behind": "blocked",
        "gpu": "skipped",
        "good": "done",
        "lies": "failed",
        "join": "done",
    }
    assert found["bad"].reason == "exit 2: no such thing"
    assert found["behind"].reason == "bad is not done"
    assert found["lies"].reason == f"it ended well and did not make {tmp_path}/out/lies"
    assert (tmp_path / "out/join").read_text() == f"{tmp_path}/out/good-1"  # * is the files that are there
    with pytest.raises(VerdictError, match="2 of 6 steps failed; the first is bad: exit 2: no such thing"):
        text.raise_for(found)
    again = Runner("try", planned(tmp_path, toml), tmp_path / "out").run()
    assert (again["bad"].slices, again["good"].slices) == (2, 1)


@pytest.mark.usefixtures("commands")
def test_what_does_not_fit_into_a_slice_goes_on_in_the_next(tmp_path: Path) -> None:
    toml = (
        'about = ""\n'
        + step("long", "count {out}/long 25", "{out}/long", 3, more='resumed = "--resume"\n')
        + step("whole", "write {out}/whole x", "{out}/whole", 1000)
    )
    out = tmp_path / "out"
    found = Runner("try", planned(tmp_path, toml), out, seconds=running.GRACE + 1.5).run()
    assert found["long"].status == "cut"
    assert found["whole"].status == "waiting"
    assert not (out / "long").exists()
    with pytest.raises(Inconclusive, match="the same command goes on"):
        text.raise_for(found)

    # The next slice finishes the first step; the second cannot be cut and waits for a slice of its own.
    found = Runner("try", planned(tmp_path, toml), out, seconds=running.GRACE + 8).run()
    assert (found["long"].status, found["long"].slices, found["whole"].status) == ("done", 2, "waiting")
    assert (out / "long").read_text() == "25"
    assert Runner("try", planned(tmp_path, toml), out, seconds=running.GRACE + 8).run()["whole"].status == "done"


@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize("more", ["", 'resumed = "--resume"\n'])
def test_a_step_that_comes_to_its_end_in_the_time_that_an_interruption_leaves_is_done(tmp_path: Path, more) -> None:
    toml = 'about = ""\n' + step("long", "end {out}/long", "{out}/long", 1, more=more)
    found = Runner("try", planned(tmp_path, toml), tmp_path / "out", seconds=running.GRACE + 1).run()
    assert (found["long"].status, found["long"].reason) == ("done", None)
    assert (tmp_path / "out/long").read_text() == "whole"


@pytest.mark.usefixtures("commands")
def test_a_step_that_cannot_go_on_and_never_fits_says_so(tmp_path: Path) -> None:
    toml = 'about = ""\n' + step("long", "count {out}/long 600", "{out}/long", 1)
    found = Runner("try", planned(tmp_path, toml), tmp_path / "out", seconds=running.GRACE + 1).run()
    assert found["long"].status == "failed"
    assert "does not fit into a slice" in (found["long"].reason or "")


def test_the_plan_says_what_cannot_run_here_and_what_waits_for_it(tmp_path: Path) -> None:
    toml = (
        'about = ""\n'
        + step("here", "write {out}/here x", "{out}/here", 60)
        + step("there", "write {out}/there x", "{out}/there", 7200, more='needs = ["no_such_package"]\n')
        + step("then", "write {out}/then x", "{out}/then", 7200, more='after = ["the*"]\n')
    )
    every = planned(tmp_path, toml)
    shown = text.listing(every, running.known(every, tmp_path / "out"), 30)
    assert "there  [cannot run here: no_such_package is not installed]" in shown
    assert "then  [cannot run here: the* cannot run: no_such_package is not installed]" in shown
    assert f"    zoo write {tmp_path}/out/here x" in shown
    assert "0 of 3 steps are done; to do here: an estimated 60 s in 2 slices of 30 s" in shown
    assert "2 steps cannot run here; elsewhere they would take 4.0 h" in shown


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Path]:
    """A campaign of real commands on a small bundle."""
    tiny_bundle(tmp_path / "tiny.zoo")
    file = tmp_path / "real.toml"
    file.write_text(
        'about = ""\n'
        + step(
            "measure-{backend}",
            f"bench run {tmp_path}/tiny.zoo --backend {{backend}} --precision fp32 --batch 1,4 --time-limit 0.2 "
            "-o {out}/parts/{backend}.json",
            "{out}/parts/{backend}.json",
            more='each.backend = ["onnxruntime", "openvino"]\n',
        )
        + step(
            "all",
            "bench show {out}/parts/*.json -o {results}/all.json --markdown {results}/all.md",
            "{results}/all.json",
            more='after = ["measure-*"]\n',
        )
        + step("page", "bench report {results}/all.json", "{results}/all.html", more='after = ["all"]\n')
    )
    return file


def test_real_commands_leave_results_a_table_and_a_page(zoo_command, real: Path) -> None:
    every = zoo_command("bench", "campaign", real, "--dry-run")
    assert "0 of 4 steps are done" in every.stdout
    done = zoo_command("bench", "campaign", real, "--json")
    assert done.returncode == 0, done.stderr
    assert [one["status"] for one in json.loads(done.stdout)] == ["done"] * 4
    results = real.parent / "runs/real/results"
    assert len(read_results(results / "all.json").rows) == 4
    assert "openvino fp32" in (results / "all.md").read_text()
    assert (results / "all.html").read_text().startswith("<!doctype html>")
    assert zoo_command("bench", "campaign", real).stdout == "4 of 4 steps are done\n"


def test_ctrl_c_keeps_what_was_done(tmp_path: Path, real: Path) -> None:
    zoo = [str(Path(sys.executable).with_name("zoo")), "bench", "campaign", str(real)]
    process = subprocess.Popen(
        zoo, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ}, start_new_session=True
    )
    out = tmp_path / "runs/real"
    while not (out / "campaign.json").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in said
    states = read_state(out)
    assert states["measure-onnxruntime"].status == "done"
    assert states["all"].status == "waiting"


def test_slices_that_are_too_short_and_patterns_that_match_nothing_are_refused(zoo_command) -> None:
    short = zoo_command("bench", "campaign", "smoke", "--slice", 5)
    assert short.returncode == 2
    assert "--slice must be at least 35 seconds" in short.stderr
    nothing = zoo_command("bench", "campaign", "smoke", "--only", "nonsense-*")
    assert nothing.returncode == 2
    assert "no step matches 'nonsense-*'" in nothing.stderr


@pytest.mark.slow
def test_the_small_campaign_runs_on_this_machine(zoo_command, tmp_path: Path) -> None:
    done = zoo_command("bench", "campaign", "smoke", timeout=900)
    assert done.returncode == 0, done.stderr
    assert "on-a-gpu: skipped: there is no CUDA GPU here" in done.stdout
    results = tmp_path / "runs/smoke/results"
    assert {path.name for path in results.iterdir()} == {
        "scores.json",
        "scores.md",
        "engines.json",
        "engines.md",
        "engines.html",
    }
    assert isinstance(load(shipped()["smoke"]), Campaign)
