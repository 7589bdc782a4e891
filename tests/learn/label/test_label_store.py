"""`answers.sqlite`: one row for each image, one writer, one teacher."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from zoo.errors import InputError
from zoo.learn.label.ask import Outcome
from zoo.learn.label.store import ReplyStore

TEACHER = {"teacher": "vision", "side": "640"}


def test_an_image_has_one_row_and_its_last_answer_counts(tmp_path):
    path = tmp_path / "deep" / "answers.sqlite"
    with ReplyStore(path, TEACHER) as replies:
        replies.keep(Outcome("b.png", "22", "", "HTTP 500: broke", 6))
        replies.keep(Outcome("a ü.png", "11", '{"x": 1}', "", 1))
        assert replies.has("a ü.png", "11")
        assert not replies.has("a ü.png", "12"), "the file has changed"
        assert not replies.has("b.png", "22"), "it failed"
        replies.keep(Outcome("b.png", "22", "{}", "", 2))
        assert dict(replies.raw()) == {"a ü.png": '{"x": 1}', "b.png": "{}"}
        assert replies.reasons() == {"a ü.png": "", "b.png": ""}
    with closing(sqlite3.connect(path)) as file:
        assert dict(file.execute("SELECT * FROM header")) == TEACHER | {"schema": "zoo.answers/1"}
        assert file.execute("SELECT name, status, attempts FROM answers").fetchall() == [
            ("a ü.png", "answered", 1),
            ("b.png", "answered", 2),
        ]


def test_what_differs_between_two_teachers_is_named(tmp_path):
    path = tmp_path / "answers.sqlite"
    ReplyStore(path, TEACHER).__exit__()
    with pytest.raises(InputError, match="side is 640 there and 32 here; url is None there and http://x here; --out"):
        ReplyStore(path, TEACHER | {"side": "32", "url": "http://x"})


def test_another_file_is_left_alone(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_text("my diary" * 1000)
    with pytest.raises(InputError, match="is not a file of replies"):
        ReplyStore(path, TEACHER)
    assert path.read_text() == "my diary" * 1000
