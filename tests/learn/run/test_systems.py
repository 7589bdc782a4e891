"""The five worked systems, each from its shipped recipe, in small: `make test-slow`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import one_line
from tests.support.pictures import CLASSES, write_pictures
from tests.support.places import ROOT, real_data
from zoo.models import checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def zoo_here(zoo_command):
    """`zoo_here("train", recipe, "a.b=c", ...)`: the command's rows, as data."""

    def call(command, recipe, *settings, only=()):
        words = [word for setting in settings for word in ("--set", setting)]
        words += [word for name in only for word in ("--only", name)]
        done = zoo_command(command, recipe, *words, "--json", timeout=1200)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def unpacked(name, folder):
    subprocess.run(["tar", "xf", real_data(name), "-C", folder], check=True)
    return folder / name


@contextmanager
def service(bundle, groups, folder):
    """The example's tagging service, a tenth of whose answers go wrong; yields its address and what it printed."""
    (folder / "groups.json").write_text(json.dumps(groups))
    command = [sys.executable, ROOT / "examples" / "tagging_service.py", bundle, "--groups", folder / "groups.json"]
    server = subprocess.Popen([*command, "--faults", "0.1"], stdout=subprocess.PIPE, text=True)
    said: list[str] = []
    try:
        yield server.stdout.readline().strip(), said
    finally:
        server.terminate()
        said.append(server.communicate(timeout=30)[0])


def test_a_black_box_is_cloned(bundle_path, zoo_command, zoo_here, tmp_path):
    """System 1: asked over HTTP through faults, then a VGG16 that gives its tags, broader ones included."""
    images = write_pictures(tmp_path / "images", each=60, seed=1)
    with service(bundle_path, {"round": ["circle"], "straight": ["cross", "stripes"]}, tmp_path) as (url, said):
        settings = [f"label.images={images}", f"label.url={url}", "label.key_env=''", "label.backoff=0.05"]
        labelled = zoo_here("label", "tags_vgg16", *settings)
    counts = [int(number) for number in re.findall(r"\d+", said[0])]
    assert counts[0] == 180 + counts[1], said  # every image once, and once more for each fault
    assert labelled
    tagged = [f"data.path={images}", "data.size=32", "data.resize=32", "data.pad=2", "train.epochs=8", "train.batch=32"]
    tagged += ["students.vgg16.knobs={depth=16, head='tags', width=0.125}", "train.freeze=''", "train.lr=0.003"]
    (row,) = zoo_here("train", "tags_vgg16", *tagged, *settings[:1])["networks"]
    assert row["map"] > 0.6, row
    assert set(checkpoint.read_about(Path(tmp_path, row["checkpoint"])).labels) == {*CLASSES, "round", "straight"}
    packed = zoo_command("export", "runs/tags_vgg16/vgg16-control", "-o", "tags.zoo", "--precision", "fp32")
    assert packed.returncode == 0, packed.stderr
    told = zoo_command("predict", "tags.zoo", images / "circle" / "000.png")
    assert re.search(r"(round|circle) \d+\.\d %", told.stdout), told.stdout


def test_temperature_distillation_under_augmentation(zoo_here, tmp_path):
    """System 2: an online teacher that sees the student's own views; its students, the leaky one too, learn from it."""
    pictures = write_pictures(tmp_path / "shapes", each=60)
    quick = [f"data.path={pictures}", "data.labelled=0.2", "teacher.knobs.width=0.25", "students.vgg8.knobs.width=0.25"]
    quick += ["train.epochs=8", "teacher.train.epochs=8", "train.batch=16", "teacher.train.batch=16"]
    rows = {row["name"]: row for row in zoo_here("distill", "cifar10_kd", *quick)["networks"]}
    assert set(rows) == {"teacher", "vgg8-control", "vgg8", "leaky_cnn-control", "leaky_cnn"}
    assert rows["teacher"]["top1"] > 0.9, rows
    assert rows["vgg8"]["top1"] >= rows["vgg8-control"]["top1"] - 0.05, rows


@pytest.mark.real_data
def test_facial_keypoints(zoo_command, zoo_here, tmp_path):
    """System 3: specialists that know every point together, a head on stored features, and a filter's picture."""
    faces = unpacked("facial_keypoints", tmp_path)
    for name, rows in (("training.csv", 300), ("test.csv", 60)):
        lines = (faces / name).read_text().splitlines(keepends=True)
        (faces / name).write_text("".join(lines[: rows + 1]))
    quick = [f"data.path={faces}", "data.size=48", "train.epochs=4", "train.patience=0"]
    found = zoo_here("train", "keypoints_specialists", *quick)
    assert len(found["networks"]) == 6
    assert found["together"]["control"]["rmse"] < 12, found  # pixels of 48
    (row,) = zoo_here("train", "keypoints_bottleneck", *quick, "train.head_epochs=4")["networks"]
    assert row["rmse"] < 15, row
    metrics = json.loads((tmp_path / "runs/keypoints_bottleneck/resnet18-control/metrics.json").read_text())
    assert metrics["features_seconds"] > 0
    drawn = zoo_command(
        "draw", "filters", "runs/keypoints_bottleneck/resnet18-control", "--layer", "conv1", "-o", "f.png"
    )
    assert drawn.returncode == 0, drawn.stderr


@pytest.mark.real_data
def test_mobilenet_against_vgg(zoo_command, zoo_here, tmp_path):
    """System 4: both learn, one of them with a twentieth of the numbers; the curves of both in one picture."""
    flowers = unpacked("flowers", tmp_path)
    quick = [f"data.path={flowers}", "data.size=32", "data.resize=36", "data.pad=2", "data.limit=900"]
    quick += ["train.epochs=5", "students.vgg16.knobs={depth=16, head='pool', width=0.25}"]
    quick += ["students.vgg16.train={epochs=5, batch=64, lr=0.02, warmup=1}"]
    rows = {row["name"]: row for row in zoo_here("train", "flowers_mobilenet_vs_vgg", *quick)["networks"]}
    assert all(row["top1"] > 0.3 for row in rows.values()), rows  # of five classes
    drawn = zoo_command("draw", "curves", "runs/flowers_mobilenet_vs_vgg", "-o", "curves.png")
    assert drawn.returncode == 0, drawn.stderr


@pytest.mark.real_data
def test_finetuning_against_fixed_features(zoo_command, zoo_here, tmp_path):
    """System 5: three ways to use a body that was trained before; curves, predictions, and a bundle of the best."""
    flowers = unpacked("flowers", tmp_path)
    pretrained = write_pictures(tmp_path / "shapes", each=60)
    trained = zoo_here("train", "cifar10_resnet", f"data.path={pretrained}", "train.epochs=3", "train.batch=32")
    weights = trained["networks"][0]["checkpoint"]
    quick = [f"data.path={flowers}", "data.size=64", "data.resize=64", "data.limit=600", "train.epochs=3"]
    for name, stages in (("finetuned", ""), ("fixed", ", head_epochs=3"), ("staged", ", head_epochs=1, body_lr=0.1")):
        quick += [f"students.{name}.weights={weights}"]
        quick += [f"students.{name}.train={{epochs=3, batch=32, lr=0.01, weight_decay=1e-4{stages}}}"]
    found = zoo_here("train", "finetune_vs_fixed", *quick)
    assert {row["name"] for row in found["networks"]} == {"finetuned-control", "fixed-control", "staged-control"}
    for name in ("finetuned", "fixed", "staged"):
        metrics = json.loads((tmp_path / f"runs/finetune_vs_fixed/{name}-control/metrics.json").read_text())
        assert metrics["best_top1"] >= metrics["top1"] > 0.2
    run = "runs/finetune_vs_fixed"
    for words in (("curves", run), ("predictions", f"{run}/finetuned-control")):
        drawn = zoo_command("draw", *words, "-o", f"{words[0]}.png")
        assert drawn.returncode == 0, drawn.stderr
        assert (tmp_path / f"{words[0]}.png").stat().st_size > 10_000
    nothing = zoo_command("draw", "predictions", run, "-o", "x.png")
    assert one_line(nothing.stderr)
