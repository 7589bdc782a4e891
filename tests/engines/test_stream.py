"""`predict_many`: every picture has its own answer, in order, whatever the others are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support.tiny import LABELS, colour_folder, tiny_bundle
from zoo.errors import InputError


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> zoo.Engine:
    return zoo.load(tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo"), backend="onnxruntime", threads=1)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    folder = colour_folder(tmp_path / "colours", each=7)
    random = np.random.default_rng(0)
    found = sorted(folder.rglob("*.png"))
    return [found[place] for place in random.permutation(len(found))]


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (4, 3), (7, 2), (64, 2), (None, None)])
def test_the_answers_are_those_of_predict_in_the_same_order(engine, paths, batch, workers):
    answers = list(engine.predict_many(paths, batch=batch, workers=workers))
    assert [answer.label for answer in answers] == [path.parent.name for path in paths]
    np.testing.assert_allclose(
        [answer.score for answer in answers], [engine.predict(path).score for path in paths], atol=1e-5
    )


def test_one_bad_picture_keeps_its_place_and_loses_no_other(engine, paths, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    asked = [*paths[:5], broken, *paths[5:9], tmp_path / "missing.png", b"", *paths[9:]]
    answers = list(engine.predict_many(asked, batch=4))
    bad = [place for place, answer in enumerate(answers) if isinstance(answer, InputError)]
    assert bad == [5, 10, 11]
    assert "broken.jpg" in str(answers[5])
    assert "missing.png" in str(answers[10])
    good = [path.parent.name for path in paths]
    assert [answer.label for answer in answers if not isinstance(answer, InputError)] == good


def test_a_batch_of_nothing_but_bad_pictures(engine):
    assert [type(answer) for answer in engine.predict_many([b"", b"x"], batch=2)] == [InputError, InputError]
    assert list(engine.predict_many([])) == []


def test_it_reads_no_further_ahead_than_a_few_batches_and_stops_when_its_reader_does(engine):
    taken = itertools.count()
    picture = Image.new("RGB", (9, 9), (0, 0, 200))

    def endless():
        while True:
            next(taken)
            yield picture

    answers = engine.predict_many(endless(), batch=4, workers=2)
    assert [next(answers).label for _ in range(6)] == [LABELS[2]] * 6
    answers.close()
    assert next(taken) <= 5 * 4


def test_arguments_are_checked_at_once(engine):
    with pytest.raises(InputError, match="at least 1"):
        engine.predict_many([], batch=0)
