"""Runs beside each other share soft labels and features, but never those of another network or input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.training import VIEWS, network_of
from zoo.data.views import CropFlip
from zoo.errors import InputError
from zoo.learn.recipe.schema import load_recipe
from zoo.learn.run.run import Run
from zoo.learn.run.specialists import SpecialistTeacher
from zoo.learn.teachers.by_recipe import teacher_by_recipe
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.train.cached_features import FrozenBody, stored_features
from zoo.models import checkpoint
from zoo.models.fingerprint import fingerprint
from zoo.models.normalisation import Normalised
from zoo.preprocess import Preprocessing

OTHERS = {
    "mean": ["data.mean=[0.5, 0.4, 0.3]"],
    "std": ["data.std=[0.5, 0.4, 0.3]"],
    "size": ["data.size=14", "data.resize=18"],
    "resize": ["data.resize=20"],
}


def asked(metrics):
    return json.loads(metrics.read_text())["answers"]["asked"]


@pytest.fixture(scope="module")
def soft_labels(recipe_file, run, tmp_path_factory):
    """`soft_labels(name, *settings)`: how many logits a distillation beside all others had to compute. The teacher is
    taken with its weights, and normalises as its file or [teacher] says.
    """
    beside = tmp_path_factory.mktemp("soft-labels")
    weights = run.folder / "teacher" / checkpoint.FILE
    teacher = f"teacher={{model='vgg', knobs={{depth=8, width=0.25}}, weights='{weights}'}}"

    def distil(name, *settings):
        made = Run(load_recipe(str(recipe_file), [teacher, "train.epochs=1", *settings]), beside / name)
        return asked(made.distilled(made.recipe.students[0]).parent / "metrics.json")

    assert distil("first") == 96
    return distil


def test_the_same_run_reuses_soft_labels(soft_labels):
    assert soft_labels("same") == 0


@pytest.mark.parametrize("what", OTHERS)
def test_soft_labels_of_another_input_are_not_reused(soft_labels, what):
    own = {"mean": ["teacher.mean=[0.5, 0.4, 0.3]"], "std": ["teacher.std=[0.5, 0.4, 0.3]"]}
    assert soft_labels(what, *own.get(what, OTHERS[what])) == 96


@pytest.fixture(scope="module")
def features(recipe_file, run, tmp_path_factory):
    """`features(name, *settings)`: how many stores of features lie beside all runs after a head was trained in one."""
    beside = tmp_path_factory.mktemp("features")
    weights = run.folder / "teacher" / checkpoint.FILE
    student = f'students=[{{name="s", model="vgg", knobs={{depth=8, width=0.25}}, weights="{weights}"}}]'
    head = ["train.epochs=1", "train.head_epochs=1", "train.cache_features=true", "data.pad=0", student]

    def train(name, *settings):
        made = Run(load_recipe(str(recipe_file), [*head, *settings]), beside / name)
        made.control(made.recipe.students[0])
        return len(list((beside / "features").iterdir()))

    assert train("first") == 1
    return train


def test_the_same_run_reuses_features(features):
    before = features("same")
    assert features("again") == before


@pytest.mark.parametrize("what", OTHERS)
def test_features_of_another_input_are_not_reused(features, what):
    before = features("before " + what)
    assert features(what, *OTHERS[what]) == before + 1


@pytest.mark.parametrize("changes", ["teacher.mean=[0.5, 0.4, 0.3]", "data.resize=20"])
def test_a_store_at_a_fixed_place_is_refused(run, recipe_file, tmp_path, changes):
    """`distill.store` names one folder: what it holds is never overwritten, and never taken for something else."""
    weights = run.folder / "teacher" / checkpoint.FILE
    teacher = f"teacher={{model='vgg', knobs={{depth=8, width=0.25}}, weights='{weights}'}}"
    settings = [teacher, "train.epochs=1", f"distill.store={tmp_path / 'store'}"]
    first = Run(load_recipe(str(recipe_file), settings), tmp_path / "first")
    first.distilled(first.recipe.students[0])
    second = Run(load_recipe(str(recipe_file), [*settings, changes]), tmp_path / "second")
    with pytest.raises(InputError, match="belong to other"):
        second.distilled(second.recipe.students[0])


@pytest.mark.parametrize("changes", [{"resize": 20}, {"height": 14}])
def test_the_same_pixels_by_other_preprocessing_are_other_features(run, tmp_path, changes):
    """A store may not depend on whether two preprocessings happen to give the same pixels."""
    body, images = FrozenBody(network_of(run, "teacher"), 16), run.splits.train.take(np.arange(4))
    views = CropFlip(0, flip=False)
    given = {"resize": 18, "height": 16, "width": 16}
    one, _ = stored_features(body, images, views, Preprocessing(**given), tmp_path)
    other, _ = stored_features(body, images, views, Preprocessing(**{**given, **changes}), tmp_path)
    assert one.folder != other.folder


def test_the_same_pixels_by_other_preprocessing_are_other_soft_labels(run, tmp_path):
    teacher = OnlineTeacher(network_of(run, "teacher"))
    folders = set()
    for resize in (18, 20):
        data = run.recipe.data.model_copy(update={"resize": resize})
        recipe = run.recipe.model_copy(update={"data": data})
        folders.add(teacher_by_recipe(teacher, run.splits.train, VIEWS, recipe, 3, tmp_path).store.folder)
    assert len(folders) == 2


def small(slope=0.1, stride=1, inplace=False):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3, stride=stride), nn.LeakyReLU(slope, inplace), nn.Flatten(), nn.LazyLinear(2)
    network = nn.Sequential(*layers)
    network(torch.zeros(1, 3, 8, 8))
    return network


def test_a_fingerprint_covers_architecture_weights_and_normalisation():
    def of(network, mean=0.5, std=0.5, **size):
        return OnlineTeacher(Normalised(network, (mean,) * 3, (std,) * 3), **size).fingerprint

    other_weights = small()
    with torch.no_grad():
        other_weights[0].bias[0] += 1
    found = [
        of(small()),
        of(small(), mean=0.4),
        of(small(), std=0.4),
        of(small(), size=16),
        of(small(slope=0.2)),  # no weight and no shape differs
        of(other_weights),
    ]
    assert len(set(found)) == len(found)
    assert of(small()) == found[0]


def test_a_bodys_fingerprint_leaves_the_head_out():
    def of(network):
        return fingerprint(network, without=network[3])

    other_head = small()
    other_head[3] = nn.Linear(other_head[3].in_features, 7)
    assert of(small()) == of(other_head) != of(small(slope=0.2))


def test_a_specialists_fingerprint_names_its_columns(run):
    whole = OnlineTeacher(network_of(run, "teacher"))
    prints = {SpecialistTeacher(whole, np.array(columns)).fingerprint for columns in ([0], [1], [0, 1])}
    assert len(prints | {whole.fingerprint}) == 4
