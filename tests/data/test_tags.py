"""The tag index and the pairs: which tags count as one, their order, and what a student is given."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from zoo.data.tags import read_pairs
from zoo.errors import InputError
from zoo.learn.label import pairs
from zoo.preprocess import Preprocessing

ANSWERS = [
    ("a.png", [("Cat", 0.9), (" cat ", 0.4), ("Pet", 0.8)]),
    ("sub/b.png", [("dog", 0.7), ("PET", 0.95), ("", 0.5)]),
    ("c.png", []),
    ("d.png", [("Straße", 0.3), ("STRASSE", 0.6), ("zebra", 0.1)]),
]


@pytest.fixture
def folder(tmp_path):
    for number, (name, _) in enumerate(ANSWERS):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10), (number, 0, 0)).save(tmp_path / name)
    assert pairs.write(tmp_path, ANSWERS, keep=3) == 3
    return tmp_path


def test_the_index_holds_the_most_frequent_tags_and_ties_go_by_name(folder):
    index = json.loads((folder / "tags.json").read_text())
    assert index == [{"tag": "pet", "count": 2}, {"tag": "cat", "count": 1}, {"tag": "dog", "count": 1}]


def test_pairs_hold_each_tag_once_with_its_best_score(folder):
    from pyarrow.parquet import read_table

    table = read_table(folder / "pairs.parquet")
    assert [str(field.type) for field in table.schema] == ["string", "list<element: string>", "list<element: float>"]
    rows = {row["name"]: (row["tags"], np.float32(row["scores"]).tolist()) for row in table.to_pylist()}
    assert rows["a.png"] == (["cat", "pet"], np.float32([0.9, 0.8]).tolist())
    assert rows["c.png"] == ([], [])
    assert rows["d.png"] == (["strasse", "zebra"], np.float32([0.6, 0.1]).tolist())


def test_a_student_gets_the_recorded_scores_and_zero_elsewhere(folder):
    images, targets, names, labels = read_pairs(folder / "pairs.parquet", folder, Preprocessing.square(8), tags=2)
    assert labels == ["pet", "cat"]
    assert names == [name for name, _ in ANSWERS]
    assert (images.shape, images.dtype, targets.dtype) == ((4, 8, 8, 3), np.uint8, np.float32)
    assert [int(image[0, 0, 0]) for image in images] == [0, 1, 2, 3]
    assert targets.tolist() == np.float32([[0.8, 0.9], [0.95, 0], [0, 0], [0, 0]]).tolist()


def test_the_tags_may_be_given(folder):
    _, targets, _, labels = read_pairs(
        folder / "pairs.parquet", folder, Preprocessing.square(8), tags=["Zebra", "unicorn"]
    )
    assert labels == ["Zebra", "unicorn"]
    assert targets.tolist() == np.float32([[0, 0], [0, 0], [0, 0], [0.1, 0]]).tolist()


def test_images_that_are_gone_or_broken_are_skipped_and_named(folder, capsys):
    (folder / "a.png").unlink()
    (folder / "c.png").write_bytes(b"no")
    images, targets, names, _ = read_pairs(folder / "pairs.parquet", folder, Preprocessing.square(8), tags=5)
    assert names == ["sub/b.png", "d.png"]
    assert [int(image[0, 0, 0]) for image in images] == [1, 3]
    assert len(targets) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "skipped 2 of 4 images" in said
    assert "a.png" in said


def test_mistakes_are_named(folder, tmp_path):
    with pytest.raises(InputError, match="no such file of pairs"):
        read_pairs(folder / "gone.parquet", folder, Preprocessing.square(8), tags=5)
    (tmp_path / "text.parquet").write_text("name,tags")
    with pytest.raises(InputError, match=r"text\.parquet is no file of pairs"):
        read_pairs(tmp_path / "text.parquet", folder, Preprocessing.square(8), tags=5)
    with pytest.raises(InputError, match="none of the images can be read"):
        read_pairs(folder / "pairs.parquet", tmp_path / "elsewhere", Preprocessing.square(8), tags=5)
