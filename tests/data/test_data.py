"""`zoo.data`: splits that can be trusted, views that can be repeated, folders as users have them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.pictures import CLASSES, write_pictures
from zoo.data import DataConfig, load
from zoo.data.imageset import draw
from zoo.data.views import CropFlip, epoch_order
from zoo.errors import InputError


def config(path, **more):
    return DataConfig(path=path, size=16, **more)


def test_digits_are_split_the_same_every_time_and_never_overlap():
    digits = DataConfig(source="digits", size=16, labelled=0.1)
    one, two, other = load(digits, 0), load(digits, 0), load(digits, 1)
    assert (len(one.train), len(one.test), int(one.train.labelled.sum())) == (1437, 360, 144)
    assert one.train.names == two.train.names
    assert one.train.fingerprint == two.train.fingerprint != other.train.fingerprint
    assert not set(one.train.names) & set(one.test.names)
    assert np.array_equal(one.train.labelled, two.train.labelled)
    counts = np.bincount(one.train.targets[one.train.labelled])
    assert counts.min() >= 13  # every digit keeps its share of the labels
    assert counts.max() <= 16


def test_draw_keeps_proportions_and_counts():
    targets = np.repeat([0, 1, 2], [70, 20, 10])
    chosen = draw(targets, 50, seed=5, names="abc")
    assert np.bincount(targets[chosen]).tolist() == [35, 10, 5]
    assert len(draw(targets, 0.25, seed=5, names="abc")) == 25
    with pytest.raises(InputError, match=r"class 'ant' of ants has only 1 image: .* at least 2"):
        draw(np.array([0, 0, 1]), 0.5, seed=0, names=["class 'bee' of ants", "class 'ant' of ants"])


def test_a_folder_without_a_split_gets_a_seeded_one(pictures):
    splits = load(config(pictures, test=0.25), 0)
    assert splits.labels == list(CLASSES)
    assert (len(splits.train), len(splits.test)) == (90, 30)
    assert not set(splits.train.names) & set(splits.test.names)


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_a_folder_with_a_split_keeps_it(tmp_path, held_out):
    write_pictures(tmp_path / "train", 6)
    write_pictures(tmp_path / held_out, 2, seed=1)
    splits = load(config(tmp_path), 0)
    assert (len(splits.train), len(splits.test)) == (18, 6)


def test_limit_takes_a_part_of_the_training_images(pictures):
    splits = load(config(pictures, limit=30), 0)
    assert (len(splits.train), len(splits.test)) == (30, 24)


def test_unreadable_images_are_skipped_and_counted_or_refused(tmp_path, capsys):
    write_pictures(tmp_path, 6)
    (tmp_path / "cross" / "000.png").write_bytes(b"broken")
    (tmp_path / "cross" / "notes.txt").write_text("no image, no matter")
    splits = load(config(tmp_path), 0)
    assert splits.skipped == 1
    assert len(splits.train) + len(splits.test) == 17
    assert "000.png" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"000\.png"):
        load(config(tmp_path, strict=True), 0)


def test_folders_that_cannot_be_learned_from(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load(config(tmp_path / "missing"), 0)
    (tmp_path / "one").mkdir()
    with pytest.raises(InputError, match="only the class 'one'"):
        load(config(tmp_path), 0)
    (tmp_path / "two").mkdir()
    with pytest.raises(InputError, match="class 'one' has no images"):
        load(config(tmp_path), 0)
    with pytest.raises(InputError, match=r"data\.path"):
        load(DataConfig(size=16), 0)


def test_train_and_test_must_have_the_same_classes(tmp_path):
    write_pictures(tmp_path / "train", 2)
    write_pictures(tmp_path / "test", 2)
    (tmp_path / "test" / "cross").rename(tmp_path / "test" / "krux")
    with pytest.raises(InputError, match="cross, krux"):
        load(config(tmp_path), 0)


def test_views_are_what_their_index_says():
    views = CropFlip(4, True)
    assert views.count == 162
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    identity = torch.full((3,), views.index(0, 0))
    assert torch.equal(views.apply(images, identity), images)
    moved = torch.zeros_like(images)
    moved[:, 3:, :-2] = images[:, :-3, 2:]  # three down, two to the left, black where nothing was
    assert torch.equal(views.apply(images, torch.full((3,), views.index(3, -2))), moved)
    assert torch.equal(views.apply(images, torch.full((3,), views.index(3, -2, True))), moved.flip(2))


def test_every_view_is_another_one():
    image = torch.randint(0, 256, (1, 12, 12, 3), dtype=torch.uint8)
    for views in (CropFlip(2, True), CropFlip(2, False)):
        shown = views.apply(image.expand(views.count, -1, -1, -1), torch.arange(views.count))
        assert len({part.numpy().tobytes() for part in shown}) == views.count


def test_an_epoch_is_a_function_of_seed_and_epoch():
    def plan(seed, epoch):
        return epoch_order(10, 18, batch=4, steps=5, seed=seed, epoch=epoch)

    which, view = plan(0, 2)
    assert which.shape == view.shape == (5, 4)
    assert sorted(which.ravel()[:10]) == list(range(10))  # a whole pass before any image comes again
    assert 0 <= view.min() <= view.max() < 18
    assert np.array_equal(which, plan(0, 2)[0])
    assert not np.array_equal(which, plan(0, 3)[0])
    assert not np.array_equal(which, plan(1, 2)[0])
