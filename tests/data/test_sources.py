"""`zoo.data.sources`: what `data.source` may be is what is there, other packages' sources included."""

from __future__ import annotations

import pytest

from zoo import data
from zoo.data import DataConfig, sources
from zoo.errors import EnvironmentProblem, InputError
from zoo.learn.recipe.schema import load_recipe

ADDED = """
import numpy as np
from zoo.data.imageset import Splits
from zoo.data.source import Source, all_labelled

def read(config, seed):
    images = np.zeros((4, config.size, config.size, 3), np.uint8)
    both = all_labelled(images, [0, 1, 0, 1], ["a", "b", "c", "d"])
    return Splits(both, both, ["zero", "one"])

SOURCE = Source(read)
NO_SOURCE = read
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with two entry points, of which one is no source."""
    info = tmp_path / "nothing_to_see-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nothing-to-see\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[distilzoo.sources]\nblank = blank_pictures:SOURCE\nodd = blank_pictures:NO_SOURCE\n"
    )
    (tmp_path / "blank_pictures.py").write_text(ADDED)
    monkeypatch.syspath_prepend(tmp_path)


def test_the_modules_of_the_package_are_the_sources():
    assert sources.names()[:4] == ["digits", "folder", "keypoints", "tags"]
    assert all(isinstance(sources.find(name), sources.Source) for name in sources.names()[:4])


def test_another_package_adds_one(package):
    assert sources.names() == ["digits", "folder", "keypoints", "tags", "blank", "odd"]
    recipe = load_recipe("digits", ["data.source=blank"])
    splits = data.load(recipe.data, 0)
    assert splits.labels == ["zero", "one"]
    assert len(splits.train) == 4
    with pytest.raises(EnvironmentProblem, match="blank_pictures:NO_SOURCE, the data source 'odd', is no"):
        load_recipe("digits", ["data.source=odd"])


def test_an_unknown_one_is_named_before_anything_is_read():
    with pytest.raises(InputError, match=r"digits\.toml: data.source: there is no 'digts'; did you mean 'digits'"):
        load_recipe("digits", ["data.source=digts"])
    with pytest.raises(InputError, match="there are digits, folder, keypoints, tags"):
        data.load(DataConfig(source="xyz", size=8), 0)


def test_a_checkpoint_opens_where_the_package_of_its_data_is_missing():
    """Its recipe is part of it: only reading the images needs the package."""
    assert DataConfig(source="of a package that is not installed here", size=8).size == 8


def test_pictures_with_points_are_not_cropped():
    with pytest.raises(InputError, match=r"data\.resize crops the picture, and targets would be outside"):
        load_recipe("keypoints_cnn", ["data.path=x", "data.size=48", "data.resize=60"])
