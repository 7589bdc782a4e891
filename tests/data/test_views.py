"""Seeded views: a view is the same pixels wherever it is drawn, and is drawn as torchvision draws."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as library

from tests.support.pictures import write_pictures
from tests.support.places import ROOT
from zoo.data import DataConfig, load
from zoo.data.seeded import SeededCrop, jittered, views_of
from zoo.data.views import CropFlip
from zoo.preprocess import Preprocessing, preprocess
from zoo.tasks.learning.keypoints import Keypoints

VIEWS = SeededCrop(count=50, size=16, jitter=0.4, seed=7)
DRAWN_ELSEWHERE = """
import hashlib, torch
from zoo.data.seeded import SeededCrop
from tests.data.test_views import VIEWS, smooth
images, indices = smooth(12, 24), torch.arange(12)
print(hashlib.sha256(VIEWS.apply(images, indices % 50, indices).numpy().tobytes()).hexdigest())
"""


def smooth(count, side):
    """Pictures without noise, so that filters may be compared: uint8 [count, side, side, 3]."""
    across = torch.linspace(0, 6, side)
    phases = torch.arange(count * 3).view(count, 1, 1, 3)
    waves = torch.sin(across[:, None, None] + phases) * torch.cos(across[None, :, None] * (1 + phases % 3))
    return ((waves + 1) * 127.5).to(torch.uint8)


def test_a_view_is_the_same_pixels_in_any_batch_order_and_process():
    images, indices, views = smooth(12, 24), torch.arange(12), torch.arange(12)
    together = VIEWS.apply(images, views, indices)
    assert together.shape == (12, 16, 16, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(VIEWS.apply(images[order], views[order], indices[order]), together[order])
    for i in range(12):
        assert torch.equal(VIEWS.apply(images[i : i + 1], views[i : i + 1], indices[i : i + 1])[0], together[i])
    command = [sys.executable, "-c", DRAWN_ELSEWHERE]
    shown = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": "tests"}, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == hashlib.sha256(together.numpy().tobytes()).hexdigest()


def test_every_image_has_its_own_views():
    image = smooth(1, 24).expand(20, -1, -1, -1)
    by_view = VIEWS.apply(image, torch.arange(20), torch.zeros(20, dtype=torch.int64))
    by_image = VIEWS.apply(image, torch.zeros(20, dtype=torch.int64), torch.arange(20))
    other_seed = SeededCrop(50, 16, jitter=0.4, seed=8).apply(image[:1], torch.tensor([0]), torch.tensor([0]))
    shown = {view.numpy().tobytes() for view in (*by_view, *by_image, *other_seed)}
    assert len(shown) == 40  # the two lists share view 0 of image 0
    assert VIEWS.fingerprint != SeededCrop(50, 16, jitter=0.4, seed=8).fingerprint


def test_crops_are_distributed_as_torchvisions():
    scale, ratio, side, count = (0.3, 1.0), (0.5, 1.6), 100, 4000
    views = SeededCrop(count, 8, scale, ratio)
    drawn = views.draw(torch.arange(count), torch.zeros(count, dtype=torch.int64), side)
    torch.manual_seed(0)
    picture = torch.zeros(3, side, side)
    theirs = torch.tensor([RandomResizedCrop.get_params(picture, list(scale), list(ratio)) for _ in range(count)])
    for ours, reference in zip(_moments(drawn.boxes), _moments(theirs), strict=True):
        torch.testing.assert_close(ours, reference, rtol=0.04, atol=0.01)
    top, left, height, width = drawn.boxes.T
    assert (torch.stack([top, left]) >= 0).all()
    assert (torch.stack([top + height, left + width]) <= side).all()
    assert drawn.mirrored.float().mean().item() == pytest.approx(0.5, abs=0.03)


def _moments(boxes):
    """Mean and deviation of area, log of the aspect and place of boxes on a side of 100."""
    top, left, height, width = boxes.float().T
    values = torch.stack([height * width / 1e4, (width / height).log(), top / 100, left / 100])
    return *values.mean(1), *values.std(1)


def test_a_crop_that_never_fits_is_the_whole_picture():
    drawn = SeededCrop(5, 8, (1.0, 1.0), (0.5, 2.0)).draw(torch.arange(5), torch.zeros(5, dtype=torch.int64), 24)
    assert drawn.boxes.tolist() == [[0, 0, 24, 24]] * 5


def test_a_view_is_what_torchvision_would_have_made_of_the_same_draws():
    images, indices, views = smooth(8, 40), torch.arange(8), torch.arange(8)
    drawn = VIEWS.draw(views, indices, 40)
    shown = VIEWS.apply(images, views, indices)
    change = (library.adjust_brightness, library.adjust_contrast, library.adjust_saturation)
    plain = SeededCrop(50, 16, seed=7).apply(images, views, indices)
    for i in range(8):
        top, left, height, width = drawn.boxes[i].tolist()
        picture = images[i].permute(2, 0, 1)
        expected = library.resized_crop(picture, top, left, height, width, [16, 16], antialias=True)
        expected = expected.flip(2) if drawn.mirrored[i] else expected
        assert (plain[i].permute(2, 0, 1).int() - expected.int()).abs().max() <= 1  # theirs resizes in float
        colours = plain[i].permute(2, 0, 1)
        for which in drawn.order[i].tolist():
            colours = change[which](colours, drawn.factors[i, which].item())
        assert torch.equal(shown[i].permute(2, 0, 1), colours)
    assert drawn.factors.min() >= 0.6
    assert drawn.factors.max() <= 1.4
    assert len({tuple(order) for order in VIEWS.draw(torch.arange(50), torch.zeros(50), 40).order.tolist()}) == 6


def test_jitter_of_one_changes_nothing():
    images = smooth(3, 8)
    assert torch.equal(jittered(images, torch.ones(3, 3).double(), torch.arange(3).expand(3, 3)), images)


@pytest.mark.parametrize("views", [SeededCrop(50, 48, (0.3, 1.0)), CropFlip(8, True)])
def test_geometry_says_where_a_dot_went(views):
    side, count = 64, 40
    at = torch.randint(20, 44, (count, 2), generator=torch.Generator().manual_seed(0))  # x, y
    images = torch.zeros(count, side, side, 3, dtype=torch.uint8)
    for i, (x, y) in enumerate(at.tolist()):
        images[i, y - 1 : y + 2, x - 1 : x + 2] = 255
    which, indices = torch.arange(count) % views.count, torch.arange(count)
    shown = views.apply(images, which, indices)
    points = (at.float() + 0.5) * 2 / side - 1
    moved = Keypoints(["nose"], side).moved(points, views.geometry(which, indices, side))
    inside = (moved.abs() < 0.9).all(1)
    assert inside.sum() > count / 2
    light = shown.float().mean(3)
    middles = torch.arange(shown.shape[1]) + 0.5
    total = light.sum((1, 2))
    found = torch.stack([(light.sum(1) * middles).sum(1), (light.sum(2) * middles).sum(1)], dim=1) / total[:, None]
    expected = (moved + 1) / 2 * shown.shape[1]
    assert (found - expected)[inside].abs().max() < 0.3  # pixels
    assert (total[(moved.abs() > 1.2).any(1)] == 0).all()  # what lies beyond 1 is not in the view


def test_training_images_are_kept_larger_and_test_images_are_preprocessed_as_ever(tmp_path):
    folder = write_pictures(tmp_path / "one", 8)
    as_ever = load(DataConfig(path=folder, size=16, resize=18, validation=0.2), 0)
    config = DataConfig(path=folder, size=16, resize=18, validation=0.2, augment="crop", stored=24)
    splits = load(config, 0)
    assert splits.train.images.shape[1:] == (24, 24, 3)
    assert splits.train.names == as_ever.train.names
    np.testing.assert_array_equal(splits.test.images, as_ever.test.images)
    assert splits.validation.images.shape[1:] == (16, 16, 3)
    assert views_of(config).apply(torch.from_numpy(splits.train.images[:2]), *[torch.arange(2)] * 2).shape[1:3] == (
        16,
        16,
    )
    for name, kept in zip(splits.train.names, splits.train.images, strict=True):
        np.testing.assert_array_equal(kept, preprocess(folder / name, Preprocessing.square(24))[0])
    kept_as_resized = DataConfig(path=folder, size=16, resize=18, augment="crop")
    assert load(kept_as_resized, 0).train.preprocessed(config.preprocessing).images.shape[1:] == (16, 16, 3)


def test_a_given_test_folder_is_preprocessed_as_ever(tmp_path):
    write_pictures(tmp_path / "train", 3)
    write_pictures(tmp_path / "val", 2, seed=1)
    splits = load(DataConfig(path=tmp_path, size=16, augment="crop", stored=24), 0)
    assert (splits.train.images.shape[1], splits.test.images.shape[1]) == (24, 16)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"scale": (0.5, 0.2)}, "shares of the area"),
        ({"ratio": (1.1, 2.0)}, "pair around 1"),
        ({"stored": 24}, "stored is for augment = 'crop'"),
        ({"augment": "crop", "stored": 12}, "at least size .16."),
    ],
)
def test_augmentations_that_cannot_be_are_refused(wrong, complaint):
    with pytest.raises(ValidationError, match=complaint):
        DataConfig(size=16, **wrong)
