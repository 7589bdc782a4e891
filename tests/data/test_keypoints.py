"""Keypoints from a CSV file to a prediction: the whole line, the same as for classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import zoo
from bench.results import read_results
from export.packing.sources.checkpoint import pack_checkpoint
from tests.support.faces import POINTS, draw, write_faces
from zoo.data.keypoints import point_names, read_faces
from zoo.errors import InputError
from zoo.learn.recipe.schema import load_recipe
from zoo.learn.run.run import Run
from zoo.models import checkpoint
from zoo.preprocess import Preprocessing

RECIPE = """
name = "faces"
task = "keypoints"

[data]
source = "keypoints"
path = "{path}"
size = 24
pad = 2
flip = true

[train]
epochs = {epochs}
batch = 32
optimizer = "adamw"
lr = 0.003
schedule = "linear"

[teacher]
model = "vgg"
knobs = {{ depth = 8, width = 0.25, dropout = 0.0 }}
train = {{ epochs = {epochs}, batch = 32, optimizer = "adamw", lr = 0.003 }}

[[students]]
name = "vgg"
model = "vgg"
knobs = {{ depth = 8, width = 0.125 }}
"""


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder / "training.csv", 400)
    write_faces(folder / "test.csv", 80, seed=1)
    return folder


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "faces.toml"
    path.write_text(RECIPE.format(path=faces, epochs=10))
    run = Run(load_recipe(str(path)), tmp_path_factory.mktemp("runs") / "faces")
    run.control(run.recipe.students[0])
    run.distilled(run.recipe.students[0])
    return run


def test_points_are_read_as_the_file_has_them(faces):
    names = point_names(faces / "training.csv")
    assert names == list(POINTS)
    images, bad = read_faces(faces / "training.csv", names, Preprocessing.square(24), strict=True)
    assert (len(images), bad) == (400, 0)
    pixels, points = draw(np.random.default_rng(0), 24)
    np.testing.assert_array_equal(images.images[0][..., 0], pixels)
    np.testing.assert_allclose((images.targets[0].reshape(3, 2) + 1) * 12 - 0.5, points, atol=2e-3)
    assert 0.1 < np.isnan(images.targets[:, -1]).mean() < 0.3
    nose, _ = read_faces(faces / "training.csv", ["nose_tip"], Preprocessing.square(24), strict=True)
    assert len(nose) < 400  # a face without a marked nose teaches a nose specialist nothing


def test_bad_rows_are_named_and_counted(faces, tmp_path, capsys):
    lines = (faces / "test.csv").read_text().splitlines()[:6]
    lines[2] = lines[2].rsplit(" ", 1)[0]  # a pixel too few
    lines[4] = lines[4].rsplit(" ", 1)[0] + " 300"
    (tmp_path / "bad.csv").write_text("\n".join(lines))
    images, bad = read_faces(tmp_path / "bad.csv", POINTS, Preprocessing.square(24), strict=False)
    assert (len(images), bad) == (3, 2)
    shown = " ".join(capsys.readouterr().err.split())
    assert "row 3: 575 pixels are not a square" in shown
    assert "row 5: a pixel is not in 0..255" in shown
    with pytest.raises(InputError, match=r"bad\.csv, row 3"):
        read_faces(tmp_path / "bad.csv", POINTS, Preprocessing.square(24), strict=True)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="expected columns NAME_x"):
        point_names(tmp_path / "other.csv")
    with pytest.raises(InputError, match="did you mean 'nose_tip'"):
        point_names(faces / "test.csv", ["nose"])


def test_training_finds_the_points(run):
    for name in ("teacher", "vgg-control", "vgg"):
        about = checkpoint.read_about(run.folder / name)
        assert about.labels == list(POINTS)
        assert about.metrics["rmse"] < 2.5, name  # pixels of 24; the mean face is about 3 off
        assert 0 < about.metrics["nme"] < 1


def test_a_packed_network_predicts_in_the_pixels_of_any_picture(run, tmp_path):
    out = tmp_path / "faces.zoo"
    manifest = pack_checkpoint(run.folder / "vgg", out, splits=run.splits, test_set=tmp_path / "test.safetensors")
    assert (manifest.task, manifest.accuracy.metric, manifest.output.size) == ("keypoints", "rmse", 6)
    assert "px" in (out / "README.md").read_text()
    pixels, points = draw(np.random.default_rng(7), 24)
    large = Image.fromarray(pixels).resize((240, 240), Image.Resampling.BILINEAR)
    prediction = zoo.load(out).predict(large)
    assert list(prediction.names) == list(POINTS)
    assert np.abs(prediction.points / 10 - points).mean() < 4


def test_the_commands_are_the_same_for_points(run, tmp_path, zoo_command):
    exported = zoo_command(
        "export", run.folder / "vgg", "-o", "f.zoo", "--precision", "fp32", "--test-set", "t.safetensors"
    )
    assert exported.returncode == 0, exported.stderr
    assert " px in torch" in exported.stdout
    Image.fromarray(draw(np.random.default_rng(7), 24)[0]).save(tmp_path / "face.png")
    told = zoo_command("predict", "f.zoo", "face.png", "--json")
    assert set(json.loads(told.stdout)["results"][0]["points"]) == set(POINTS)
    timed = zoo_command(
        "bench", "run", "f.zoo", "--backend", "onnxruntime", "--batch", "1", "--time-limit", "0.2",
        "--evaluate", "t.safetensors", "-o", "r.json",
    )  # fmt: skip
    assert timed.returncode == 0, timed.stderr
    (row,) = read_results(tmp_path / "r.json").rows
    assert row.accuracy is not None
    assert (row.accuracy.metric, row.accuracy.images) == ("rmse", 80)
    assert row.accuracy.value == pytest.approx(checkpoint.read_about(run.folder / "vgg").metrics["rmse"], abs=1e-3)
    assert "px" in timed.stdout
    assert zoo_command("bench", "report", "r.json").returncode == 0


def test_specialists_are_scored_together(faces, tmp_path):
    path = tmp_path / "r.toml"
    text = RECIPE.format(path=faces, epochs=3)
    names = {"eyes": ["left_eye", "right_eye"], "nose": ["nose_tip"]}
    students = "".join(
        f'[[students]]\nname = "{name}"\nmodel = "vgg"\nknobs = {{ depth = 8, width = 0.125 }}\nlabels = {points}\n'
        for name, points in names.items()
    )
    path.write_text(text[: text.index("[[students]]")] + students)
    run = Run(load_recipe(str(path)), tmp_path / "runs" / "parts")
    for student in run.recipe.students:
        run.control(student)
        run.distilled(student)
    about = checkpoint.read_about(run.folder / "nose-control")
    assert about.labels == ["nose_tip"]
    assert about.provenance["training_images"] < 400
    scores = run.combined_scores("control")
    assert scores is not None
    assert 0 < scores["rmse"] < 4
    alone = [checkpoint.read_about(run.folder / f"{name}-control").metrics["rmse"] for name in names]
    assert min(alone) <= scores["rmse"] <= max(alone)
    assert run.combined_scores("student") is not None
    assert set(json.loads((run.folder / "specialists.json").read_text())) == {"control", "student"}
    manifest = pack_checkpoint(run.folder / "nose", tmp_path / "nose.zoo", precisions=("fp32",))
    assert manifest.output.size == 2
