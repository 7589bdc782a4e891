"""`zoo.data.folders`: one rule for which pictures lie below a folder, for everybody who reads one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from bench.subjects.accuracy import labelled_images
from bench.subjects.photos import photo_files
from zoo.data import DataConfig, load
from zoo.data.folders import has_pictures, pictures, subfolders, suffixes
from zoo.errors import InputError
from zoo.learn.label.pictures import find

GREY = Image.fromarray(np.full((20, 20, 3), 128, np.uint8))


def save(path: Path, format: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    GREY.save(path, format)


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in pictures(folder)]


def test_hidden_files_and_folders_are_no_data_at_any_depth(tmp_path):
    save(tmp_path / "a.png")
    for hidden in (".a.png", "._a.png", "b/.ipynb_checkpoints/a.png", ".thumbnails/a.png", "__MACOSX/b/._a.png"):
        save(tmp_path / hidden)
    save(tmp_path / "b" / "__MACOSX" / "a.png")
    assert names(tmp_path) == ["a.png"]
    assert [folder.name for folder in subfolders(tmp_path)] == ["b"]
    assert not has_pictures(tmp_path / "b")


def test_a_hidden_folder_that_is_named_itself_is_read(tmp_path):
    save(tmp_path / ".cache" / "x" / "a.png")
    assert names(tmp_path / ".cache") == ["x/a.png"]


def test_every_suffix_that_pillow_reads_counts_in_any_case(tmp_path):
    for name, format in {
        "a.JPG": "JPEG",
        "b.jfif": "JPEG",
        "c.jpe": "JPEG",
        "d.Tif": "TIFF",
        "e.webp": "WEBP",
        "f.tga": "TGA",
        "g.jp2": "JPEG2000",
    }.items():
        if format != "JPEG2000" or features.check("jpg_2000"):
            save(tmp_path / name, format)
    if features.check("avif"):
        save(tmp_path / "h.avif", "AVIF")
    found = names(tmp_path)
    assert found == sorted(path.name for path in tmp_path.iterdir())
    splits = load(DataConfig(path=two_classes(tmp_path), size=8, strict=True), 0)
    assert len(splits.train) + len(splits.test) == 2 * len(found)
    assert not {".eps", ".ps", ".wmf", ".mpg", ".h5"} & suffixes()  # readers that need another program, or a handler


def two_classes(folder: Path) -> Path:
    """The same pictures as two classes, in a folder beside it."""
    root = folder.parent / f"{folder.name} in classes"
    for label in ("one", "two"):
        for path in pictures(folder):
            target = root / label / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return root


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_where_the_suffix_says_nothing_the_content_does(tmp_path, format):
    for name in ("picture", "picture.jpg!large", "photo.2024"):
        save(tmp_path / name, format)
    (tmp_path / "notes.txt").write_text("BMW drivers")
    (tmp_path / "LICENSE").write_text("II*")
    (tmp_path / "empty").touch()
    assert names(tmp_path) == ["photo.2024", "picture", "picture.jpg!large"]


def test_linked_folders_are_followed_once_and_loops_end(tmp_path):
    save(tmp_path / "elsewhere" / "deep" / "1.png")
    root = tmp_path / "root"
    save(root / "z" / "2.png")
    (root / "a link").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere" / "deep")
    (root / "a second name").symlink_to(root / "z")
    (root / "z" / "loop").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    (root / "nowhere.png").symlink_to(root / "gone.png")
    (root / "linked.png").symlink_to(tmp_path / "elsewhere" / "deep" / "1.png")
    assert names(root) == ["a link/deep/1.png", "linked.png", "z/2.png"]
    (root / "back").symlink_to(tmp_path)
    assert [folder.name for folder in subfolders(root)] == ["a link", "a second name", "again", "z"]


def test_the_order_is_that_of_the_parts_of_the_path(tmp_path):
    for name in ("a-b/1.png", "a/2.png", "a/10.png", "B.png", "a/b/3.png", "a.png"):
        save(tmp_path / name)
    assert names(tmp_path) == ["B.png", "a/10.png", "a/2.png", "a/b/3.png", "a-b/1.png", "a.png"]


def test_errors_name_the_folder(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the folder .*missing: No such file"):
        pictures(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot read the folder .*file: Not a directory"):
        subfolders(tmp_path / "file")


def test_training_labelling_evaluation_and_photos_read_the_same_pictures(tmp_path):
    for label in ("ant", "bee"):
        for name in ("1.JPG", "nested/deeper/2.jfif", "3", ".hidden.png", "nested/._1.png", "__MACOSX/1.png"):
            save(tmp_path / label / name, "JPEG")
    (tmp_path / "bee" / "loop").symlink_to(tmp_path)
    save(tmp_path / ".ipynb_checkpoints" / "1.png")
    expected = [f"{label}/{name}" for label in ("ant", "bee") for name in ("1.JPG", "3", "nested/deeper/2.jfif")]

    splits = load(DataConfig(path=tmp_path, size=8), 0)
    assert splits.labels == ["ant", "bee"]
    assert sorted(splits.train.names + splits.test.names) == expected
    assert find(tmp_path) == expected
    assert [path.relative_to(tmp_path).as_posix() for path in photo_files(tmp_path)] == expected
    assert [
        (path.relative_to(tmp_path).as_posix(), target) for path, target in labelled_images(tmp_path, ["bee", "ant"])
    ] == [(name, 1 if name.startswith("ant") else 0) for name in expected]


def test_a_picture_of_another_format_than_its_name_says_is_read(tmp_path):
    buffer = io.BytesIO()
    GREY.save(buffer, "PNG")
    for label in ("ant", "bee"):
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / f"{number}.jpg").write_bytes(buffer.getvalue())
    assert len(load(DataConfig(path=tmp_path, size=8, strict=True), 0).train) == 2
