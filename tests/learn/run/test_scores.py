"""`zoo scores`: several runs in one table."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.support.command import one_line
from zoo.errors import InputError
from zoo.learn.run.scores import scores, table


def another_seed(run, folder, seed):
    """The same trainings as if they had been started with another seed."""
    shutil.copytree(run.folder, folder)
    recipe = folder / "recipe.toml"
    recipe.write_text(re.sub(r"(?m)^seed = \d+", f"seed = {seed}", recipe.read_text()))
    return folder


def test_networks_stand_below_each_other_and_methods_side_by_side(run) -> None:
    lines = scores([run.folder])
    assert {(line.network, line.method) for line in lines} == {
        ("teacher", "teacher"),
        ("vgg", "control"),
        ("vgg", "kd"),
        ("mobilenet_v2", "control"),
        ("mobilenet_v2", "kd"),
    }
    written = table(lines)
    assert "top1, last epoch\n" in written
    assert re.search(r"\| vgg \|.*\d+\.\d\d %.*\|", written)
    assert "Training, seconds (median):" in written


def test_seeds_become_a_mean_and_a_deviation(run, tmp_path) -> None:
    lines = scores([run.folder, another_seed(run, tmp_path / "other", 77)])
    vgg = next(line for line in lines if (line.network, line.method) == ("vgg", "kd"))
    assert sorted(vgg.as_dict()["scores"]) == ["3", "77"]
    assert vgg.shown.endswith("% ± 0.00")  # they are copies
    assert "mean ± standard deviation of up to 2 seeds" in table(lines)


def test_what_cannot_share_a_line_is_refused(run, tmp_path) -> None:
    with pytest.raises(InputError, match="are the same training twice"):
        scores([run.folder, shutil.copytree(run.folder, tmp_path / "copy")])
    longer = another_seed(run, tmp_path / "longer", 5)
    metrics = longer / "vgg" / "metrics.json"
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | {"epochs": 9}))
    with pytest.raises(InputError, match="had 9 epochs"):
        scores([run.folder, longer])
    with pytest.raises(InputError, match="holds no run"):
        scores([tmp_path])


def test_the_command_writes_data_and_table(run, zoo_command, tmp_path) -> None:
    done = zoo_command("scores", run.folder, "-o", "s.json", "--markdown", "s.md")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "s.md").read_text() == done.stdout
    assert {line["network"] for line in json.loads((tmp_path / "s.json").read_text())} >= {"vgg", "teacher"}
    refused = zoo_command("scores", tmp_path)
    assert refused.returncode == 2
    assert "holds no run" in one_line(refused.stderr)
