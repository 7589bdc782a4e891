"""`zoo.data.class_folders`: classes and splits, as they come out of other people's archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoo.data import DataConfig, load
from zoo.data.class_folders import Layout, class_names, labelled, layout, split_of
from zoo.errors import InputError


def save(*paths: Path) -> None:
    """Two pictures in each of these folders."""
    for path in paths:
        path.mkdir(parents=True, exist_ok=True)
        for number in range(2):
            Image.fromarray(np.full((9, 9, 3), 100 * number, np.uint8)).save(path / f"{number}.png")


def classes(*folders: Path) -> None:
    """Two classes in each of these folders."""
    for folder in folders:
        save(folder / "ant", folder / "bee")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((name, "train") for name in ("train", "Train", "TRAINING", "training_set", "TrainSet", "train-images")),
        *((name, "validation") for name in ("val", "valid", "Validation", "val_set", "validation data")),
        *((name, "test") for name in ("test", "Test", "test_set", "testing", "seg_test", "test_images")),
        *((name, None) for name in ("trains", "training day", "value", "tests", "latest", "valley", "trail")),
    ],
)
def test_splits_are_known_by_their_names(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "val", "test"), ("Train", "valid", "Test"), ("training_set", "validation_set", "test_set")],
)
def test_all_three_splits_are_found_however_they_are_spelled(tmp_path, train, validation, test):
    classes(tmp_path / train, tmp_path / validation, tmp_path / test)
    found = layout(tmp_path)
    assert found == Layout(tmp_path / train, tmp_path / validation, tmp_path / test)
    assert found.held_out == tmp_path / test
    splits = load(DataConfig(path=tmp_path, size=8), 0)
    assert (splits.labels, len(splits.train), len(splits.test)) == (["ant", "bee"], 4, 4)


def test_without_splits_the_folder_itself_holds_the_classes(tmp_path):
    classes(tmp_path)
    assert layout(tmp_path) == Layout(tmp_path)
    assert class_names(tmp_path) == ["ant", "bee"]


def test_archives_that_hold_their_own_name_are_opened(tmp_path):
    """As Kaggle's: seg_train/seg_train/CLASS."""
    classes(tmp_path / "seg_train" / "seg_train", tmp_path / "seg_test" / "seg_test")
    save(tmp_path / "seg_pred" / "seg_pred")
    assert layout(tmp_path) == Layout(
        tmp_path / "seg_train" / "seg_train",
        test=tmp_path / "seg_test" / "seg_test",
        ignored=(tmp_path / "seg_pred",),
    )


@pytest.mark.parametrize("unlabelled", ["test", "test/test", "test/unknown"])
def test_test_images_without_labels_are_no_reason_to_stop(tmp_path, unlabelled):
    classes(tmp_path / "train")
    save(tmp_path / unlabelled)
    assert layout(tmp_path) == Layout(tmp_path / "train")
    splits = load(DataConfig(path=tmp_path, size=8, test=0.5), 0)
    assert (len(splits.train), len(splits.test)) == (2, 2)
    classes(tmp_path / "valid")
    assert layout(tmp_path).held_out == tmp_path / "valid"


def test_a_class_called_train_beside_other_classes_is_a_class(tmp_path, capsys):
    save(tmp_path / "bus", tmp_path / "car", tmp_path / "train")
    splits = load(DataConfig(path=tmp_path, size=8), 0)
    assert splits.labels == ["bus", "car", "train"]
    assert "train is read as a class" in capsys.readouterr().err
    save(tmp_path / "train" / "1930", tmp_path / "train" / "1980")
    assert layout(tmp_path) == Layout(tmp_path)
    assert len(load(DataConfig(path=tmp_path, size=8), 0).train.names) == 7  # of ten, nested ones too


def test_folders_beside_the_splits_are_left_out_and_named(tmp_path, capsys):
    classes(tmp_path / "train", tmp_path / "test", tmp_path / "train_images")
    save(tmp_path / "samples")
    (tmp_path / "annotations").mkdir()
    found = layout(tmp_path)
    assert (found.train, found.held_out) == (tmp_path / "train", tmp_path / "test")
    assert found.ignored == (tmp_path / "samples", tmp_path / "train_images")
    load(DataConfig(path=tmp_path, size=8), 0)
    assert "left out samples, train_images" in capsys.readouterr().err


def test_pictures_without_classes_are_not_taken_for_two_classes_called_train_and_test(tmp_path):
    save(tmp_path / "train", tmp_path / "test")
    with pytest.raises(InputError, match=r"train has no class"):
        load(DataConfig(path=tmp_path, size=8), 0)


def test_splits_without_one_to_train_on_are_refused(tmp_path):
    classes(tmp_path / "test", tmp_path / "val")
    with pytest.raises(InputError, match="has test and val, and no folder of images to train on"):
        load(DataConfig(path=tmp_path, size=8), 0)


def test_a_class_with_one_image_is_named_with_its_folder(tmp_path):
    classes(tmp_path)
    (tmp_path / "bee" / "1.png").unlink()
    with pytest.raises(InputError, match=rf"class 'bee' of {tmp_path} has only 1 image"):
        load(DataConfig(path=tmp_path, size=8), 0)


def test_evaluation_takes_nested_pictures_and_the_split_that_is_held_out(tmp_path):
    classes(tmp_path / "train", tmp_path / "test")
    save(tmp_path / "test" / "bee" / "more" / "of them")
    found = labelled(tmp_path, ["bee", "ant"])
    assert [target for _, target in found] == [1, 1, 0, 0, 0, 0]
    assert {path.relative_to(tmp_path).parts[0] for path, _ in found} == {"test"}
    assert labelled(tmp_path / "test", ["bee", "ant"]) == found
    with pytest.raises(InputError, match="test/bee is not a class of this network; did you mean 'bees'"):
        labelled(tmp_path, ["ant", "bees"])


def test_evaluation_of_a_network_that_knows_a_class_called_train(tmp_path):
    save(tmp_path / "train" / "1980")
    assert [target for _, target in labelled(tmp_path, ["bus", "train"])] == [1, 1]
