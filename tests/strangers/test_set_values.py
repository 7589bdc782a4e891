"""`--set KEY=VALUE`: the key says how its value is read, so that a folder may have any name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pictures import write_pictures
from zoo.learn.recipe.schema import load_recipe

NAMES = ("2024-11-30", "2024", "1e5", "true", "07:30:00", "1979-05-27T07:32:00", "[v2]", "a=b", "it's", '"q"', "x#1")


@pytest.mark.parametrize("name", [*NAMES, "2024-11-30/", "./2024", "{x}", "inf", "-1"])
def test_a_path_is_the_text_as_it_stands(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '"q"').mkdir()
    recipe = load_recipe("imagefolder", [f"data.path={name}", f"distill.store={name}", f"label.images={name}"])
    assert recipe.data.path == recipe.distill.store == recipe.label.images == Path(name)


@pytest.mark.parametrize("name", ["20260913", "1e5", "true", "2024-11-30"])
def test_a_name_is_the_text_as_it_stands(name):
    settings = [f"name={name}", f"students.vgg.name={name}", f"teacher.weights={name}", f"teacher.model={name}"]
    recipe = load_recipe("imagefolder", settings)
    assert (recipe.name, recipe.students[1].name, recipe.teacher.weights, recipe.teacher.model) == (name,) * 4


def test_other_values_are_those_of_their_keys():
    settings = [
        "seed=07",
        "train.lr=.05",
        "train.warmup=1e0",
        "data.flip=False",
        "distill.lambda=0.25",
        "data.limit=30",
    ]
    recipe = load_recipe("imagefolder", [*settings, "train.loggers=csv", "data.mean = [0.5, 0.5, 0.5]"])
    assert (recipe.seed, recipe.train.lr, recipe.train.warmup, recipe.data.flip) == (7, 0.05, 1.0, False)
    assert (recipe.distill.lambda_, recipe.data.limit, recipe.train.loggers) == (0.25, 30, ("csv",))
    assert recipe.data.mean == (0.5, 0.5, 0.5)


def test_quotes_of_toml_may_stay_and_no_knob_is_a_date(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("imagefolder", ['data.path="q"', "name = 'x'", "students.vgg.knobs.since=2024-11-30"])
    assert (recipe.data.path, recipe.name) == (Path("q"), "x")
    assert recipe.students[1].knobs["since"] == "2024-11-30"


def test_training_on_a_folder_that_is_called_like_a_date(zoo_command, tmp_path):
    write_pictures(tmp_path / "2024-11-30", each=4)
    small = [f"--set=data.{key}" for key in ("size=16", "resize=16", "pad=1")]
    quick = [f"--set=train.{key}" for key in ("epochs=1", "batch=4", "warmup=0")]
    knobs = "--set=students.vgg.knobs={depth=8, width=0.125}"
    done = zoo_command("train", "imagefolder", "--set", "data.path=2024-11-30", *small, *quick, knobs, "--only", "vgg")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "imagefolder" / "vgg-control" / "model.safetensors").is_file()
