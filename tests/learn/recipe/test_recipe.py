"""Recipes: what is written is what is used, and a mistake is named."""

from __future__ import annotations

import re

import pytest

from tests.support.places import ROOT
from zoo.data import DataConfig
from zoo.errors import InputError
from zoo.learn.recipe.schema import (
    Distillation,
    Network,
    Recipe,
    Student,
    Teacher,
    Training,
    load_recipe,
    shipped,
    to_toml,
)


def test_shipped_recipes_are_valid():
    assert {"digits", "imagefolder", "cifar10"} <= set(shipped())
    for name in shipped():
        assert load_recipe(name).name == name


def test_a_resolved_recipe_reads_back_to_the_same(tmp_path):
    recipe = load_recipe("digits", ["seed=7", "students.vgg.knobs.width=0.5"])
    path = tmp_path / "recipe.toml"
    path.write_text(to_toml(recipe))
    assert load_recipe(str(path)) == recipe


def test_overrides_take_numbers_words_and_paths():
    recipe = load_recipe(
        "imagefolder",
        [
            "data.path=/some/where else",
            "train.lr=0.5",
            "distill.answers=online",
            "students.0.knobs.width=2.0",
            "seed=4",
        ],
    )
    assert str(recipe.data.path) == "/some/where else"
    assert (recipe.train.lr, recipe.distill.answers, recipe.seed) == (0.5, "online", 4)
    assert recipe.students[0].knobs["width"] == 2.0


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("data.sise=3", "'data.sise'; did you mean 'size'"),
        ("distil.lambda=1", "'distil'; did you mean 'distill'"),
        ("distill.lamda=1", "did you mean 'lambda'"),
        ("students.vgg.knob=1", "did you mean 'knobs'"),
        ("students.resnet.name=1", "no 'resnet' there; there are: mobilenet_v2, vgg"),
        ("distill.temperature=-1", "distill.temperature: Input should be greater than 0"),
        ("data.pad=200", "pad .200. must be smaller than size"),
        ("students.vgg.name=teacher", "names must differ"),
        ("nonsense", "key=value"),
        ("seed.x=1", "'seed' is a value"),
    ],
)
def test_mistakes_are_named(override, complaint):
    with pytest.raises(InputError, match=complaint):
        load_recipe("digits", [override])


def test_unknown_recipe_and_broken_toml(tmp_path):
    with pytest.raises(InputError, match="did you mean 'digits'"):
        load_recipe("digit")
    path = tmp_path / "x.toml"
    path.write_text("name = ")
    with pytest.raises(InputError, match=r"x\.toml"):
        load_recipe(str(path))


def test_the_documentation_names_every_key():
    text = (ROOT / "docs" / "recipes.md").read_text()
    words = set(re.findall(r"`(\w+)`", text))
    for model in (Recipe, DataConfig, Training, Network, Teacher, Student, Distillation):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in words | {"data", "train", "teacher", "students", "distill", "label"}, name
    assert set(shipped()) <= words
