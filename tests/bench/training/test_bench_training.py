"""`zoo bench training`: what a teacher costs a training, way by way."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.training.throughput import WAYS, Throughput

QUICK = ["--student", "vgg", "--steps", "9", "--rounds", "2"]


def test_every_way_is_measured_in_every_round(zoo_process, recipe_file):
    """In a process of its own: torch's loader leaves a handler of SIGCHLD behind."""
    result = zoo_process("bench", "training", recipe_file, *QUICK, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert list(found) == list(WAYS)
    assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in found.values())
    for way in WAYS:  # said when it is known, too
        assert f"round 2: {way}: {found[way][1]:.0f} images/s\n" in result.stderr


def test_ratios_are_taken_within_a_round():
    slow_then_fast = Throughput("online", (100.0, 200.0, 300.0))
    assert slow_then_fast.ratio(Throughput("no teacher", (200.0, 400.0, 600.0))) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["digits", "--student", "vgh"], "no student 'vgh'"),
        (["digits", "--steps", "5"], "too few"),
        (["keypoints_cnn"], "names no network as teacher"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, said):
    result = CliRunner().invoke(app, ["training", *arguments])
    assert said in str(result.exception)
