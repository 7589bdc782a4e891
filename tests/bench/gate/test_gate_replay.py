import pytest

from bench.gate.error_rates.replay import INJECTED, judge, replay, stored, table
from tests.support.gates import entry as made_up
from tests.support.gates import noise, pair, receipt
from tests.support.places import ROOT
from zoo.errors import InputError, VerdictError


def test_the_shipped_rounds_hold_the_promise():
    """2,000 replays without a slowdown, 2,000 with one of 5 %, alone and as one of 20 benchmarks."""
    shipped = stored(None)
    assert shipped.injected == 0
    assert shipped.baseline == shipped.candidate
    lines = replay(shipped.entries[0].pairs)
    judge(lines)
    ours = lines[:2]
    assert all(line.false_alarms < 0.01 for line in ours)
    assert all(line.detected >= 0.95 for line in ours)
    shown = table(lines)
    assert "criterion-like" in shown
    assert shown in (ROOT / "docs/gate.md").read_text()  # a recording that was made anew changes the documentation


def test_a_broken_promise_is_a_bad_verdict():
    with pytest.raises(VerdictError, match=r"finds .* of the slowdowns"):
        judge(replay([pair(unit) for unit in noise(0.0, pairs=60, spread=0.3)], replays=100))


def test_the_other_rules_find_what_they_are_made_to_find():
    quiet = [pair(0.0, rounds=4) for _ in range(50)]
    lines = {line.name: line for line in replay(quiet, replays=20)}
    assert [line.false_alarms for line in lines.values()] == [0.0] * len(lines)
    found = {name.partition(":")[0]: line.detected for name, line in lines.items()}
    assert INJECTED == 0.05
    assert found == {
        "zoo bench gate": 1.0,
        "zoo bench gate, one of 20 benchmarks": 1.0,
        "mean more than 5 % higher": 0.0,  # 5 % is not more than 5 %
        "Mann-Whitney, p < 0.05": 1.0,
        "criterion-like": 1.0,
        "asv-like": 0.0,
    }


def test_a_recording_that_is_too_short_is_refused(tmp_path):
    receipt(made_up(noise(0.0))).write(tmp_path / "gate.json")
    with pytest.raises(InputError, match="holds 24 process pairs; a recording needs at least 48"):
        stored(tmp_path / "gate.json")
