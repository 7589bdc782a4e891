"""A teacher's outputs belong to labels: matched by name, chosen, or refused before anything is trained."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from tests.support.tiny import colour_folder, tiny_bundle
from tests.support.training import network_of
from zoo.errors import InputError
from zoo.learn.recipe.schema import load_recipe
from zoo.learn.run.run import Run
from zoo.learn.teachers.outputs import Outputs, named, of_graph, of_library
from zoo.models.library import imagenet_names
from zoo.models.normalisation import Normalised
from zoo.tasks.registry import TASKS

RECIPE = """
name = "colours"
[data]
source = "folder"
path = "{path}"
size = 16
pad = 1
test = 0.5
[train]
epochs = 1
batch = 4
[teacher]
model = "{model}"
[[students]]
name = "vgg"
model = "vgg"
knobs = {{ depth = 8, width = 0.125 }}
"""


@pytest.fixture
def distilled_from(tmp_path):
    """`distilled_from("bundle:PATH", "teacher.outputs=...")`: a run on plain colours, its teacher open."""

    def opened(model: str, *settings: str, labels: tuple[str, ...] = ("red", "green", "blue")) -> Run:
        colour_folder(tmp_path / "images", each=4, labels=labels)
        (tmp_path / "r.toml").write_text(RECIPE.format(path=tmp_path / "images", model=model))
        return Run(load_recipe(str(tmp_path / "r.toml"), settings), tmp_path / "run", distils=True)

    return opened


def test_labels_in_another_order_are_matched_by_name(distilled_from, tmp_path, capsys):
    model = f"bundle:{tiny_bundle(tmp_path / 't.zoo')}"
    run = distilled_from(model)  # the folders are in the order blue, green, red
    assert run.splits.labels == ["blue", "green", "red"]
    assert run.teacher_scores() == {"top1": 1.0}
    assert "2 'blue' is blue, 1 'green' is green, 0 'red' is red" in " ".join(capsys.readouterr().err.split())


def test_a_part_of_the_labels_is_enough(distilled_from, tmp_path):
    model = f"bundle:{tiny_bundle(tmp_path / 't.zoo')}"
    run = distilled_from(model, labels=("Red", "green"))  # as it is spelled, or in other capitals
    assert run.splits.labels == ["Red", "green"]
    assert run.teacher_scores() == {"top1": 1.0}


@pytest.mark.parametrize(
    ("settings", "labels", "complaint"),
    [
        ([], ("red", "green", "violet"), "does not know violet; it knows: red, green, blue.*teacher.outputs"),
        (["task=tagging"], None, "is a bundle for classification, and the recipe's task is tagging"),
        (["teacher.mean=[0, 0, 0]"], None, "normalises by itself: leave teacher.mean and teacher.std out"),
        (["teacher.size=32"], None, "takes pictures of 8 pixels, not 32"),
        (["teacher.outputs=[0, 1]"], None, "names 2 outputs, and the data has 3 labels"),
        (["teacher.outputs=[0, 1, 3]"], None, "has no output 3; it has 0 to 2"),
        (["teacher.outputs=[0, 1, 1]"], None, "'1' is an output that is named twice"),
        (['teacher.outputs=["red", "green", "violet"]'], None, "has no one output 'violet'; it knows red"),
        (
            ['distill.hints=[{student="f", teacher="f", loss="attention", weight=1}]', "distill.answers=online"],
            None,
            "nor give hi",
        ),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_before_a_folder_is_written(
    distilled_from, tmp_path, settings, labels, complaint
):
    model = f"bundle:{tiny_bundle(tmp_path / 't.zoo')}"
    with pytest.raises(InputError, match=complaint):
        distilled_from(model, *settings, **({"labels": labels} if labels else {}))
    assert not (tmp_path / "run").exists()


def test_other_words_for_the_same_are_said_by_the_recipe(distilled_from, tmp_path):
    model = f"bundle:{tiny_bundle(tmp_path / 't.zoo')}"
    run = distilled_from(model, 'teacher.outputs=["red", 1, "blue"]', labels=("crimson", "emerald", "navy"))
    assert run.teacher_scores() == {"top1": 1.0}


@pytest.mark.parametrize("model", ["onnx:none.onnx", "bundle:none.zoo", "run:none", "timm:test_resnet"])
def test_a_teacher_that_is_not_there_is_said_first(distilled_from, tmp_path, model):
    weights = ["teacher.weights=none.pth"] if model.startswith("timm") else []
    with pytest.raises(InputError, match=r"no such|no checkpoint"):
        distilled_from(model, *weights)
    assert not (tmp_path / "run").exists()


def test_a_graph_without_names_is_taken_in_order_and_that_is_printed(distilled_from, tmp_path, capsys):
    model = f"onnx:{tiny_bundle(tmp_path / 't.zoo') / 'model.fp32.onnx'}"
    run = distilled_from(model)
    assert run.teacher_scores()["top1"] == pytest.approx(1 / 3)  # it was trained on red, green, blue
    assert "0 is blue, 1 is green, 2 is red" in " ".join(capsys.readouterr().err.split())
    run = Run(load_recipe(str(tmp_path / "r.toml"), ["teacher.outputs=[2, 1, 0]"]), tmp_path / "other", distils=True)
    assert run.teacher_scores() == {"top1": 1.0}


def test_a_checkpoint_with_labels_in_another_order_is_matched_by_name(run, distilled_from, tmp_path):
    labels = ("stripes", "circle")
    other = distilled_from(f"run:{run.folder / 'teacher'}", labels=labels)
    assert other.splits.labels == ["circle", "stripes"]
    images = torch.from_numpy(other.splits.test.images)
    whole = network_of(run, "teacher")
    with torch.no_grad():
        expected = whole(images)[:, [0, 2]].argmax(1).numpy()
    score = float((expected == other.splits.test.targets).mean())
    assert other.teacher_scores()["top1"] == pytest.approx(score)


def test_a_file_of_weights_that_names_its_labels_is_matched_by_name(run, distilled_from, capsys):
    knobs = "teacher.knobs={depth=8, width=0.25}"
    weights = f"teacher.weights={run.folder / 'teacher' / 'model.safetensors'}"
    other = distilled_from("vgg", knobs, weights, "data.mean=[0, 0, 0]", labels=("stripes", "circle"))
    images = torch.from_numpy(other.splits.test.images)
    with torch.no_grad():
        expected = network_of(run, "teacher")(images)[:, [0, 2]]
        found = other._taken.network
    about = other._taken.data
    assert (about.mean, about.size) == (run.recipe.data.mean, run.recipe.data.size)
    torch.testing.assert_close(Normalised(found, about.mean, about.std)(images), expected)
    assert "0 'circle' is circle, 2 'stripes' is stripes" in " ".join(capsys.readouterr().err.split())


def test_columns_of_a_library_network_are_chosen_in_its_head(distilled_from, tmp_path):
    import timm

    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=1000).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    weights = f"teacher.weights={tmp_path / 'w.pth'}"
    with pytest.raises(
        InputError,
        match=r"answers with 1000 numbers and 3 are needed.*add a \[teacher.train\]: ImageNet body, new head",
    ):
        distilled_from("timm:test_resnet", weights)
    chosen = ['teacher.outputs=["ant", 309, "n01440764"]', "teacher.size=16", "teacher.crop=1.0"]
    made = Run(load_recipe(str(tmp_path / "r.toml"), [weights, *chosen]), tmp_path / "chosen", distils=True)
    images = torch.from_numpy(made.splits.test.images)
    about = timm.get_pretrained_cfg("test_resnet")
    fed = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(about.mean).view(3, 1, 1)) / torch.tensor(about.std).view(
        3, 1, 1
    )
    with torch.no_grad():
        expected = network(fed)[:, [310, 309, 0]].argmax(1).numpy()
    assert made.teacher_scores()["top1"] == pytest.approx(float((expected == made.splits.test.targets).mean()))


def test_imagenet_is_known_by_name_and_by_number():
    task = TASKS["classification"](["n02219486", "bee"], 32)
    outputs = of_library("timm:resnet18", "hub", 1000)
    assert outputs.columns(task, ()).tolist() == of_graph("onnx:g", 1000).columns(task, ()).tolist() == [310, 309]
    assert len(imagenet_names()) == 1000
    with pytest.raises(InputError, match=r"'crane'; \[134, 517\] are called so"):
        outputs.columns(task, ("crane", "bee"))


def test_numbered_folders_are_not_guessed():
    task = TASKS["classification"](sorted(map(str, range(1, 12))), 32)  # 1, 10, 11, 2 ...
    outputs = Outputs("theirs", 11, None)
    with pytest.raises(InputError, match=r"teacher\.outputs = 'natural' if timm did"):
        outputs.columns(task, ())
    assert outputs.columns(task, "natural").tolist() == [0, 9, 10, *range(1, 9)]
    assert outputs.columns(task, "lexical") is None


def test_points_have_two_outputs_each():
    task = TASKS["keypoints"](["nose", "eye"], 32)
    assert named("theirs", 6, ["eye", "mouth", "nose"]).columns(task, ()).tolist() == [4, 5, 0, 1]


def test_the_teacher_has_a_row_and_a_warning_where_it_is_not_better(zoo_command, tmp_path):
    colour_folder(tmp_path / "images", each=4, labels=("red", "green", "blue"))
    bundle = tiny_bundle(tmp_path / "t.zoo", labels=("blue", "red", "green"))  # a bad teacher
    (tmp_path / "r.toml").write_text(RECIPE.format(path=tmp_path / "images", model=f"bundle:{bundle}"))
    done = zoo_command("distill", "r.toml", "--out", "run", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["networks"]
    assert [row["role"] for row in rows] == ["teacher", "control", "student"]
    assert rows[0]["top1"] == 0.0
    assert rows[0]["checkpoint"] == f"bundle:{bundle}"
    kept = json.loads((tmp_path / "run" / "teacher" / "metrics.json").read_text())
    assert (kept["top1"], kept["teacher"]) == (0.0, f"bundle:{bundle}")
    said = " ".join(done.stderr.split())
    assert "the teacher: 0.00 % right on the 6 test images" in said
    assert re.search(r"warning: the teacher \(0\.00 % right\) is not better than vgg-control.*nothing to distil", said)


def test_a_row_of_the_mapped_teacher_is_the_bundles_own(distilled_from, tmp_path):
    run = distilled_from(f"bundle:{tiny_bundle(tmp_path / 't.zoo')}")
    batch = next(iter(run_batches(run)))
    logits = run._teacher.logits(batch).numpy()
    assert np.array_equal(logits.argmax(1), batch.targets.numpy())


def run_batches(run: Run):
    from zoo.learn.train.batches import Batches

    return Batches(run.splits.train, run.views, run.task, batch=6, steps=1, seed=0)
