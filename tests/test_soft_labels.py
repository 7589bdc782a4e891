"""Cached answers are those an online teacher would give, belong to one teacher, and are asked for once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.data.views import CropFlip
from zoo.errors import InputError, ZooError
from zoo.learn import checkpoint
from zoo.learn.networks import Normalised
from zoo.learn.recipe import load_recipe
from zoo.learn.run import Run
from zoo.learn.soft_labels import SoftLabels
from zoo.learn.teachers import Batch, CachedTeacher, OnlineTeacher, answer_everything
from zoo.learn.training import Batches

SHAPE = {"images": 5, "views": 3, "classes": 2}
PRINTS = {"data": "d", "view_set": "v", "teacher": "t"}


def test_answers_survive_closing_and_half_precision(tmp_path):
    store = SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    pairs = np.array([0, 4]), np.array([2, 0])
    assert not store.has(*pairs).any()
    answers = np.array([[1.0001, -7.5], [0.333333, 40000.0]], np.float32)
    store.put(*pairs, answers)
    again = SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    assert again.has(*pairs).all()
    assert not again.has(np.array([0]), np.array([0])).any()
    np.testing.assert_array_equal(again.get(*pairs), answers.astype(np.float16).astype(np.float32))
    assert again.filled == pytest.approx(2 / 15)


@pytest.mark.parametrize(("what", "word"), [("data", "data"), ("view_set", "views"), ("teacher", "teacher")])
def test_a_store_of_others_is_refused_and_says_whose(tmp_path, what, word):
    SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    with pytest.raises(InputError, match=f"other {word}$"):
        SoftLabels.open(tmp_path / "s", **SHAPE, **{**PRINTS, what: "another"})


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    store = SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    with pytest.raises(ZooError, match="fp16"):
        store.put(np.array([0]), np.array([0]), np.array([[1e6, 0]], np.float32))
    assert not store.has(np.array([0]), np.array([0])).any()


@pytest.fixture
def teacher(run):
    network, _ = checkpoint.load(run.folder / "teacher")
    return OnlineTeacher(network)


def open_store(folder, run, teacher, views):
    return SoftLabels.open(
        folder,
        images=len(run.splits.train),
        views=views.count,
        classes=3,
        data=run.splits.train.fingerprint,
        view_set=views.fingerprint,
        teacher=teacher.fingerprint,
    )


def test_cached_answers_are_those_of_an_online_teacher(run, teacher, tmp_path):
    """The very batches of a training, three epochs of them: on every view the label an online teacher would give."""
    views = CropFlip(1, True)
    cached = CachedTeacher(teacher, open_store(tmp_path / "s", run, teacher, views))
    batches = Batches(run.splits.train, views, batch=16, steps=6, seed=0)
    for epoch in (0, 1, 2, 0):
        batches.epoch = epoch
        for batch in batches:
            torch.testing.assert_close(cached.answer(batch), teacher.answer(batch), rtol=1e-3, atol=2e-3)
    assert cached.tally.asked + cached.tally.reused == 4 * 96
    assert cached.tally.reused >= 96  # the repeated epoch asked nothing


def test_prefilling_answers_everything_once(run, teacher, tmp_path):
    views = CropFlip(1, False)
    store = open_store(tmp_path / "s", run, teacher, views)
    answer_everything(CachedTeacher(teacher, store), run.splits.train, views, batch=50)
    assert store.filled == 1
    again = CachedTeacher(teacher, store)
    answer_everything(again, run.splits.train, views, batch=7)
    assert again.tally.asked == 0


def test_a_teacher_never_changes(run, teacher):
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    print_before = teacher.fingerprint
    teacher.network.train()
    teacher = OnlineTeacher(teacher.network)
    batch = next(iter(Batches(run.splits.train, CropFlip(1, True), batch=16, steps=1, seed=0)))
    assert not teacher.answer(batch).requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.network.state_dict().items())
    assert teacher.fingerprint == print_before


def test_a_teacher_may_see_another_resolution():
    seen = []

    class Probe(torch.nn.Module):
        def forward(self, x):
            seen.append(x.shape)
            return x.mean((2, 3))

    network = Normalised(Probe(), (0.0,) * 3, (1 / 255,) * 3)
    batch = Batch(torch.full((2, 16, 16, 3), 100, dtype=torch.uint8), *[torch.zeros(2)] * 4)
    answer = OnlineTeacher(network, size=32).answer(batch)
    assert seen[0][2:] == (32, 32)
    torch.testing.assert_close(answer, torch.full((2, 3), 100.0))


def test_later_students_and_runs_reuse_the_store(run, recipe_file, tmp_path):
    """Another student, loss and run, the same teacher and data: nothing is asked again that is there."""
    settings = [
        f"teacher.model=run:{run.folder / 'teacher'}",
        "distill.temperature=2.0",
        f"distill.store={tmp_path / 's'}",
    ]
    for folder, asked_any in (("one", True), ("two", False)):
        other = Run(load_recipe(str(recipe_file), settings), tmp_path / folder)
        other.distilled(other.recipe.students[0])
        metrics = (tmp_path / folder / "vgg" / "metrics.json").read_text()
        assert ('"asked": 0' not in metrics) == asked_any
