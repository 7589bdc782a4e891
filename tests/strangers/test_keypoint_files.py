"""Keypoint files as spreadsheets and broken downloads leave them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.command import one_line
from zoo import data
from zoo.data import DataConfig
from zoo.data.keypoints import point_names, read_faces
from zoo.errors import InputError
from zoo.preprocess import Preprocessing

HEAD = "eye_x,eye_y,nose_x,nose_y,Image"
SIDE = 12


def rows(count: int = 6) -> list[str]:
    random = np.random.default_rng(0)
    lines = []
    for _ in range(count):
        points = ",".join(f"{value}.5" for value in random.integers(1, SIDE - 1, 4))
        lines.append(f"{points},{' '.join(map(str, random.integers(0, 256, SIDE * SIDE)))}")
    return lines


GOOD = "\n".join([HEAD, *rows()]) + "\n"


def read(tmp_path, text: bytes | str, strict: bool = False):
    path = tmp_path / "faces.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    names = point_names(path)
    assert names == ["eye", "nose"]
    return read_faces(path, names, Preprocessing.square(SIDE), strict=strict)


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace(",", ";").replace(".5", ",5"),
        GOOD.replace("\n", "\n\n"),
        GOOD.replace(HEAD, HEAD.replace(",", " , ")),
    ],
    ids=["byte order mark", "CRLF", "CR", "semicolons", "tabs", "decimal commas", "empty lines", "blanks in names"],
)
def test_what_spreadsheets_write_is_the_same_faces(tmp_path, text) -> None:
    wanted, _ = read(tmp_path, GOOD)
    found, bad = read(tmp_path, text)
    assert bad == 0
    np.testing.assert_array_equal(found.images, wanted.images)
    np.testing.assert_array_equal(found.targets, wanted.targets)


BROKEN = {
    "cut before the picture": ("2.5,3.5,4", "3 columns instead of 5"),
    "cut in the picture": ("2.5,3.5,4.5,5.5,1 2 3", "3 pixels are not a square"),
    "cut where a smaller square is left": ("2.5,3.5,4.5,5.5," + " ".join(["7"] * 121), "121 pixels, most pictures"),
    "NUL bytes": ("\0\0\0\0", "1 columns instead of 5"),
    "NUL in the picture": (rows()[0].replace(" ", "\0", 1), "invalid literal"),
    "Latin-1": (b"2.5,3.5,4.5,5.5,\xe9 1 2 3", "invalid literal"),
    "one column more": (rows()[0] + ",9", "6 columns instead of 5"),
    "decimal commas between commas": ("2,5,3,5," + rows()[0], "columns instead of 5"),
    "a quote that nobody closes": ('"' + rows()[0], "unexpected end of data"),
    "an infinite coordinate": (rows()[0].replace(rows()[0].split(",")[0], "inf", 1), "a coordinate is infinite"),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("last", [True, False])
def test_a_broken_row_is_named_and_the_others_are_read(tmp_path, capsys, kind, last) -> None:
    broken, complaint = BROKEN[kind]
    line = broken if isinstance(broken, bytes) else broken.encode()
    good = GOOD.encode().splitlines()
    text = b"\n".join([*good, line] if last else [*good[:3], line, *good[3:]])
    number = len(good) + 1 if last else 4
    found, bad = read(tmp_path, text)
    assert (len(found), bad) == (6, 1)
    np.testing.assert_array_equal(found.images, read(tmp_path, GOOD)[0].images)
    said = " ".join(capsys.readouterr().err.split())
    assert f"row {number}: " in said
    assert complaint in said
    with pytest.raises(InputError, match=f"row {number}: "):
        read(tmp_path, text, strict=True)


def test_a_run_goes_on_without_the_broken_rows_and_strict_refuses_them(zoo_command, tmp_path) -> None:
    (tmp_path / "faces.csv").write_text("\n".join([HEAD, *rows(24), "2.5,3.5,4"]) + "\n")
    splits = data.load(DataConfig(source="keypoints", path=tmp_path / "faces.csv", size=SIDE), 0)
    assert (len(splits.train) + len(splits.test), splits.skipped) == (24, 1)
    words = ["--set", "data.path=faces.csv", "--set", "data.size=48", "--set", "data.strict=true"]
    strict = zoo_command("train", "keypoints_cnn", *words, "-o", "strict")
    assert strict.returncode == 2
    assert "row 26: 3 columns instead of 5" in one_line(strict.stderr)
    assert not (tmp_path / "strict").exists()


def test_another_encoding_is_one_line(tmp_path) -> None:
    path = tmp_path / "faces.csv"
    path.write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(InputError, match="is not a CSV file in UTF-8"):
        point_names(path)
