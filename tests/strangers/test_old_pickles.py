"""Old pickles hold their labels in every shape that people had a use for."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from tests.support.command import one_line
from zoo.data.tags import read_pairs
from zoo.preprocess import Preprocessing

X = np.random.default_rng(0).integers(2, 256, (4, 8, 8, 3), dtype=np.uint8)
NUMBERS = np.array([2, 0, 1, 2])
THREE = ["ant", "bee", "cat"]


def imported(zoo_command, tmp_path, data, names):
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(data, 2))
    words = []
    if names:
        (tmp_path / "names.json").write_text(json.dumps(names))
        words = ["--names", "names.json"]
    return zoo_command("import", "old.pkl", "--out", "new", *words)


@pytest.mark.parametrize(
    ("labels", "names", "tags"),
    [
        (NUMBERS, THREE, "cat ant bee cat"),
        (NUMBERS[:, None], THREE, "cat ant bee cat"),
        (NUMBERS[:, None].astype(np.float32), THREE, "cat ant bee cat"),
        (NUMBERS.reshape(4, 1, 1), THREE, "cat ant bee cat"),
        ([[2], [0], [1], [2]], THREE, "cat ant bee cat"),
        (NUMBERS[:, None], [], "2 0 1 2"),
        (np.eye(3)[NUMBERS], THREE, "cat ant bee cat"),
        (np.array([[1], [0], [0], [1]]), ["no", "yes"], "yes no no yes"),
        (np.array([True, False, False, True]), ["no", "yes"], "yes no no yes"),
        (np.array([[1], [0], [0], [1]]), ["smiling"], "smiling - - smiling"),
        ([[0, 2], [1], [], [2]], THREE, "ant+cat bee - cat"),
        ([{"cat": 1.0}, {"ant": 1}, {}, {"bee": 1, "cat": 1}], [], "cat ant - bee+cat"),
    ],
)
def test_labels_of_every_shape_mean_what_they_say(zoo_command, tmp_path, labels, names, tags) -> None:
    done = imported(zoo_command, tmp_path, (X, labels), names)
    assert done.returncode == 0, done.stderr
    _, targets, _, known = read_pairs(
        tmp_path / "new" / "pairs.parquet", tmp_path / "new" / "images", Preprocessing(8, 8, 8), tags=9
    )
    found = ["+".join(sorted(known[column] for column in np.flatnonzero(row))) or "-" for row in targets]
    assert " ".join(found) == tags


def test_a_score_of_one_tag_stays_a_score(zoo_command, tmp_path) -> None:
    """Read as a class number, 0.75 would be class 0."""
    assert imported(zoo_command, tmp_path, (X, np.array([0.75, 0.5, 0, 1])), ["smiling"]).returncode == 0
    _, targets, _, _ = read_pairs(
        tmp_path / "new" / "pairs.parquet", tmp_path / "new" / "images", Preprocessing(8, 8, 8), tags=9
    )
    assert targets[:, 0].tolist() == [0.75, 0.5, 0, 1]


@pytest.mark.parametrize("keys", [("X", "y"), ("data", "labels"), (b"images", b"targets")])
def test_a_dict_holds_the_pair_under_its_usual_names(zoo_command, tmp_path, keys) -> None:
    images, labels = keys
    done = imported(zoo_command, tmp_path, {images: X, labels: NUMBERS, "note": "of 2014"}, THREE)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "new" / "tags.json").read_text())


@pytest.mark.parametrize(
    ("data", "names", "complaint"),
    [
        ((X, np.array([[1], [0], [0], [1]])), [], "two classes or one tag: give two names or one (--names)"),
        ((X, np.array([0, 1, 1, 0])), THREE, "two classes or one tag"),
        ((X, np.array([2.5, 0, 1, 2])), THREE, "neither class numbers nor scores"),
        ((X, np.eye(3)[NUMBERS]), ["ant", "bee"], "y has 3 columns and there are 2 names"),
        ((X, NUMBERS[:, None]), ["ant", "bee"], "y speaks of number 2 and there are 2 names"),
        ((X, [{"cat": 7}] * 4), [], "a dict with 7, which is no score from 0 to 1"),
        ((X, [[0.5], [0.5, 1.0], [], []]), THREE, "a label of y is a list that is none of these"),
        ({"left": X, "right": NUMBERS}, THREE, "holds a dict with left, right: one of X, x, images, data"),
        ({"X": X, "data": X, "y": NUMBERS}, THREE, "holds a dict with X, data, y"),
    ],
)
def test_what_cannot_be_told_is_one_line(zoo_command, tmp_path, data, names, complaint) -> None:
    done = imported(zoo_command, tmp_path, data, names)
    assert done.returncode == 2
    assert complaint in one_line(done.stderr)
    assert not (tmp_path / "new").exists()
