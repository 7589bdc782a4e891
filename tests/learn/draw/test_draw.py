"""`zoo draw curves` and `zoo draw predictions`: pictures of what was recorded, and of what engines predict."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from PIL import Image

from tests.support.command import one_line
from zoo import load
from zoo.errors import InputError
from zoo.learn.draw.cells import cell_of
from zoo.learn.draw.curves import draw_curves, spread
from zoo.learn.draw.metrics import read_curves
from zoo.learn.draw.predictions import draw_predictions, open_source, predictions
from zoo.models import checkpoint
from zoo.tasks.registry import TASKS

STAGES = {
    "teacher": "teacher",
    "vgg": "student",
    "vgg-control": "control",
    "mobilenet_v2": "student",
    "mobilenet_v2-control": "control",
}


def write_metrics(folder, header, *rows):
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "metrics.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_curves_are_the_numbers_of_every_stage(run):
    curves = {curve.name: curve for curve in read_curves([run.folder])}
    assert {name: curve.role for name, curve in curves.items()} == STAGES
    for name, curve in curves.items():
        with (run.folder / name / "logs" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert curve.epochs == [1, 2, 3, 4]
        assert curve.loss == [float(row["loss"]) for row in rows]
        assert curve.score == [float(row["test_top1"]) for row in rows]
        assert curve.score[-1] == pytest.approx(checkpoint.read_about(run.folder / name).metrics["top1"])
        assert curve.best == int(np.argmax(curve.score))


def test_an_unfinished_run_has_the_curves_that_it_has(tmp_path):
    header = "epoch,hard,loss,step,test_loss,test_top1"
    write_metrics(tmp_path / "run" / "teacher", header, "0,2.0,2.5,9,2.0,0.4", "1,1.0,1.5,19,1.2,0.6")
    (tmp_path / "run" / "vgg-control").mkdir()  # its first epoch is not done
    (curve,) = read_curves([tmp_path / "run"])
    assert (curve.name, curve.epochs, curve.loss, curve.score) == ("teacher", [1, 2], [2.5, 1.5], [0.4, 0.6])
    draw_curves([curve], tmp_path / "curves.png")


def test_the_best_epoch_of_an_error_is_the_lowest(tmp_path):
    header = "epoch,loss,step,test_loss,test_nme,test_rmse"
    stage = write_metrics(tmp_path / "faces", header, "0,1,9,1,0.3,4.0", "1,0.5,19,1,0.1,2.0", "2,0.4,29,1,0.2,3.0")
    (curve,) = read_curves([stage])
    assert (curve.task.unit, curve.epochs[curve.best]) == ("px", 2)
    draw_curves([curve], tmp_path / "curves.png")


def test_stages_of_several_runs_are_told_apart_by_name(tmp_path):
    row = ("epoch,loss,test_top1", "0,1,0.5")
    stages = [write_metrics(tmp_path / name, *row) for name in ("a/vgg", "b/vgg", "b/vgg-control")]
    assert [curve.name for curve in read_curves([tmp_path / "a", *stages[1:]])] == ["a/vgg", "b/vgg", "b/vgg-control"]
    assert [curve.name for curve in read_curves([tmp_path / "b", tmp_path / "b"])] == ["vgg", "vgg-control"]


def test_different_metrics_do_not_share_a_picture(tmp_path):
    one = write_metrics(tmp_path / "one", "epoch,loss,test_top1", "0,1,0.5")
    other = write_metrics(tmp_path / "other", "epoch,loss,test_rmse", "0,1,3")
    with pytest.raises(InputError, match="rmse and top1"):
        read_curves([one, other])


def test_the_curves_name_every_line_and_its_last_value(run, tmp_path):
    (curve,) = read_curves([run.folder / "vgg"])
    draw_curves(read_curves([run.folder]), tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    texts = re.findall("<!-- (.*?) -->", drawn)  # matplotlib draws text as shapes and keeps the words beside them
    assert f"vgg  {100 * curve.score[-1]:.2f} %" in texts
    assert {text.split()[0] for text in texts} >= {"vgg", "mobilenet_v2", "teacher"}
    draw_curves(read_curves([run.folder]), tmp_path / "again.svg")
    assert drawn == (tmp_path / "again.svg").read_text()


@pytest.mark.parametrize(
    ("places", "expected"),
    [([0, 50], [0, 50]), ([0, 0], [-5, 5]), ([0, 2, 100], [-4, 6, 100]), ([3, 3, 3], [-7, 3, 13]), ([], [])],
)
def test_names_give_way_as_little_as_they_can(places, expected):
    assert spread(places, 10) == pytest.approx(expected)


def test_a_checkpoint_is_asked_about_its_own_test_images(run):
    source, test = open_source(run.folder / "vgg"), run.splits.test
    shown = predictions(source, count=8, seed=1)
    for cell in shown:
        (place,) = np.flatnonzero((test.images == cell.pixels).all(axis=(1, 2, 3)))
        assert cell.truth == {run.splits.labels[test.targets[place]]}
        sign = "✓" if cell.prediction.label in cell.truth else "✗"
        assert cell.caption()[0][0].startswith(f"{sign} {cell.prediction.label}")
    again, other = (predictions(source, count=8, seed=seed) for seed in (1, 2))
    assert [cell.pixels.tobytes() for cell in again] == [cell.pixels.tobytes() for cell in shown]
    assert [cell.pixels.tobytes() for cell in other] != [cell.pixels.tobytes() for cell in shown]


def test_the_grid_says_what_the_engine_says(bundle_path, pictures):
    images = sorted(pictures.rglob("*7.png"))
    shown = predictions(open_source(bundle_path), images)
    engine = load(bundle_path)
    for cell, image in zip(shown, images, strict=True):
        expected = engine.predict(image)
        assert cell.truth is None
        assert (cell.prediction.label, cell.prediction.score) == (expected.label, pytest.approx(expected.score))
        assert cell.caption()[0][0] == f"{expected.label} {100 * expected.score:.0f} %"


def test_a_bundle_shows_the_images_of_its_self_test(bundle_path):
    source = open_source(bundle_path)
    stored = source.own()[0]
    shown = predictions(source, count=4)
    assert len(shown) == 4
    assert all((stored == cell.pixels).all(axis=(1, 2, 3)).any() for cell in shown)


def test_tags_are_ticked_crossed_and_missed():
    task, pixels = TASKS["tagging"](["boat", "cat", "dog", "sea", "sky"], 8), np.zeros((8, 8, 3), np.uint8)
    logits, target = np.float32([-9, 3, -1, 4, -9]), np.float32([1, 0.2, 0, 0.9, 1])
    caption = [text for text, _ in cell_of(task, pixels, logits, target).caption()]
    assert caption == ["✓ sea 98 %", "✗ cat 95 %", "dog 27 %", "missed: boat +1"]


def test_points_are_measured_against_those_that_are_marked():
    task, pixels = TASKS["keypoints"](["nose", "chin"], 16), np.zeros((16, 16, 3), np.uint8)
    nose, chin, missing = [0.0, 0.0], [0.0, 0.5], [np.nan, np.nan]
    cell = cell_of(task, pixels, np.float32([*nose, *chin]), np.float32([*chin, *missing]))
    assert cell.prediction.points.tolist() == [[7.5, 7.5], [7.5, 11.5]]
    assert [text for text, _ in cell.caption()] == ["4.00 px"]  # a quarter of the side, of the one that is marked
    assert "marked" in cell.key
    unknown = cell_of(task, pixels, np.float32([*nose, *chin]))
    assert unknown.caption() == []
    assert "marked" not in unknown.key


def test_points_are_drawn_where_they_are(tmp_path):
    task, pixels = TASKS["keypoints"](["nose"], 64), np.zeros((64, 64, 3), np.uint8)
    draw_predictions("face", [cell_of(task, pixels, np.float32([0.5, -0.5]))], tmp_path / "face.png")
    drawn = np.asarray(Image.open(tmp_path / "face.png").convert("RGB")).astype(int)
    rows, columns = np.nonzero((drawn == 0).all(axis=2))  # the black picture
    orange = (drawn[..., 0] > 200) & (drawn[..., 2] < 100)
    across = (np.nonzero(orange)[1].mean() - columns.min()) / np.ptp(columns)
    down = (np.nonzero(orange)[0].mean() - rows.min()) / np.ptp(rows)
    assert (across, down) == (pytest.approx(0.75, abs=0.02), pytest.approx(0.25, abs=0.02))


def test_pictures_come_out_of_the_command(run, bundle_path, pictures, tmp_path, zoo_command):
    image = next(pictures.rglob("*.png"))
    sizes = []
    for words in (("curves", run.folder), ("predictions", run.folder / "vgg"), ("predictions", bundle_path, image)):
        done = zoo_command("draw", *words, "-o", "new/picture.png")
        assert (done.returncode, done.stdout) == (0, "new/picture.png\n"), done.stderr
        with Image.open(tmp_path / "new" / "picture.png") as drawn:
            sizes.append(drawn.size)
    (curves_width, curves_height), (grid_width, grid_height), (one_width, one_height) = sizes
    assert curves_width > 2 * curves_height > 1000
    assert grid_height > grid_width == one_width > 2 * one_height > 400


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("curves", "nowhere", "-o", "curves.png"), "no run at nowhere"),
        (("curves", ".", "-o", "curves.png"), "no curves in"),
        (("curves", ".", "-o", "curves.bmp"), "cannot draw curves.bmp: a picture's name ends in .png or .svg"),
        (("predictions", "nowhere", "-o", "grid.png"), "no checkpoint at nowhere"),
        (("curves", "."), "--out"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(words, said, zoo_command):
    done = zoo_command("draw", *words)
    assert done.returncode == 2
    assert said in one_line(done.stderr)


def test_damaged_metrics_are_named(tmp_path):
    for name, rows in {
        "words": ("epoch,loss,test_top1", "0,much,little"),
        "other": ("epoch,loss", "0,1"),
        "empty": ("epoch,loss,test_top1",),
    }.items():
        with pytest.raises(InputError, match=re.escape(str(tmp_path / name / "logs" / "metrics.csv"))):
            read_curves([write_metrics(tmp_path / name, *rows)])


def test_a_grid_has_an_end(bundle_path):
    with pytest.raises(InputError, match="a grid holds 100 pictures, not 101"):
        predictions(open_source(bundle_path), count=101)
