"""A teacher is shown what it was trained on: its own mean, std, size, crop and interpolation."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import timm
import torch
from torch.nn import functional as F

from tests.strangers.test_teacher_labels import RECIPE
from tests.support.tiny import colour_folder
from zoo.errors import InputError
from zoo.learn.batch import Batch
from zoo.learn.recipe.schema import Recipe, load_recipe
from zoo.learn.run.run import Run
from zoo.learn.teachers.inputs import TeacherInput, input_of
from zoo.models import checkpoint
from zoo.models.library import Usual, usual

TINTED = """
<ir_version: 10, opset_import: ["" : 18], producer_name: "tests">
theirs (float[N, 3, SIDE, SIDE] picture) => (float[N, 3] logits)
<int64[2] axes = {2, 3}> { logits = ReduceMean <keepdims = 0> (picture, axes) }
"""


@pytest.fixture
def opened(tmp_path):
    """`opened("timm:NAME", "teacher.size=32")`: a run on colours of 16 pixels whose teacher is checked."""
    colour_folder(tmp_path / "images", each=4)

    def run(model: str, *settings: str, name: str = "run") -> Run:
        (tmp_path / "r.toml").write_text(RECIPE.format(path=tmp_path / "images", model=model))
        return Run(load_recipe(str(tmp_path / "r.toml"), settings), tmp_path / name, distils=True)

    return run


@pytest.fixture
def theirs(tmp_path):
    """Random weights of a timm network for three classes, in a file; and the network."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=3).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    return network, f"teacher.weights={tmp_path / 'w.pth'}"


def recipe(size: int, resize: int | None = None, **more: object) -> Recipe:
    data = {"size": size, "pad": 1, "path": ".", **({"resize": resize} if resize else {}), **more}
    students = [{"name": "vgg", "model": "vgg"}]
    return Recipe.model_validate(
        {"name": "r", "data": data, "train": {"epochs": 1}, "teacher": {"model": "vgg"}, "students": students}
    )


def logits_of(run: Run, images: torch.Tensor) -> torch.Tensor:
    numbers = torch.arange(len(images))
    return run._online.logits(Batch(images, numbers, numbers == numbers, numbers, numbers))


def by_hand(network, images, mean, std):
    fed = images.permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return network((fed - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))


def noise(size: int) -> torch.Tensor:
    return torch.randint(0, 256, (4, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_a_library_network_is_fed_as_its_library_says(opened, theirs, monkeypatch, capsys):
    network, weights = theirs
    own = Usual(32, 0.875, (0.5, 0.4, 0.3), (0.5, 0.6, 0.7), "bicubic")
    for module in ("zoo.learn.teachers.inputs", "zoo.learn.teachers.taken"):
        monkeypatch.setattr(f"{module}.usual", lambda model: own)
    run = opened("timm:test_resnet", weights)
    torch.testing.assert_close(logits_of(run, noise(16)), by_hand(network, noise(16), own.mean, own.std))
    about = checkpoint.read_about(run.teacher())
    assert (about.data.mean, about.data.std, about.data.size) == (own.mean, own.std, 16)
    run.teacher_row()
    said = " ".join(capsys.readouterr().err.split())
    assert "mean 0.5 0.4 0.3, std 0.5 0.6 0.7 (timm's configuration); views of 16 pixels" in said
    assert json.loads((run.folder / "teacher" / "metrics.json").read_text())["top1"] == run.teacher_scores()["top1"]


def test_the_keys_of_the_recipe_come_first_and_enlarging_is_said(opened, theirs, capsys):
    network, weights = theirs
    more = ["teacher.mean=[0.1, 0.2, 0.3]", "teacher.std=[1, 1, 1]", "teacher.size=32", "teacher.interpolation=bicubic"]
    run = opened("timm:test_resnet", weights, *more, "teacher.crop=0.8")
    run.teacher_row()
    said = " ".join(capsys.readouterr().err.split())
    assert "(teacher.mean, teacher.std); views of 16 pixels enlarged to 32 (bicubic), the central 80.0 %" in said
    planes = F.interpolate(noise(16).permute(0, 3, 1, 2).float(), size=(40, 40), mode="bicubic", antialias=True)
    shown = planes.round().clamp(0, 255).permute(0, 2, 3, 1)[:, 4:36, 4:36]
    torch.testing.assert_close(logits_of(run, noise(16)), by_hand(network, shown, (0.1, 0.2, 0.3), (1, 1, 1)))


def test_every_key_of_the_input_is_part_of_the_fingerprint(opened, theirs):
    weights = theirs[1]
    keys = ["mean=[0, 0, 0]", "std=[1, 1, 1]", "size=24", "crop=0.5", "interpolation=nearest", "outputs=[2, 1, 0]"]
    settings = [[], *([f"teacher.{key}"] for key in keys)]
    found = [opened("timm:test_resnet", weights, *each, name=f"run{at}") for at, each in enumerate(settings)]
    assert len({run._online.fingerprint for run in found}) == len(settings)


def test_a_checkpoint_sees_the_side_it_was_trained_at(run, opened, capsys):
    other = opened(f"run:{run.folder / 'teacher'}", "data.size=32", "teacher.outputs=[2, 1, 0]")
    about = checkpoint.read_about(run.folder / "teacher")
    assert other._online._teacher.input == TeacherInput(16, crop=about.data.size / about.data.resize)
    other.teacher_row()
    assert "reduced to 16 (bilinear), the central 88.9 %" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="has its own mean and std: leave"):
        opened(f"run:{run.folder / 'teacher'}", "teacher.mean=[0, 0, 0]", name="other")


def test_a_graph_of_floats_gets_the_mean_and_std_of_its_keys(opened, tmp_path, capsys):
    onnx.save(onnx.parser.parse_model(TINTED.replace("SIDE", "24")), tmp_path / "g.onnx")
    keys = ["teacher.mean=[0.5, 0.25, 0.0]", "teacher.std=[0.5, 1.0, 2.0]"]
    images = torch.full((1, 16, 16, 3), 255, dtype=torch.uint8)
    run = opened(f"onnx:{tmp_path / 'g.onnx'}", "teacher.outputs=[2, 1, 0]", *keys)
    np.testing.assert_allclose(logits_of(run, images).numpy(), [[0.5, 0.75, 1.0]], rtol=1e-5)
    said = " ".join(capsys.readouterr().err.split())
    assert "(teacher.mean, teacher.std); views of 16 pixels enlarged to 24 (bilinear)" in said
    opened(f"onnx:{tmp_path / 'g.onnx'}", "teacher.outputs=[2, 1, 0]", name="other")
    assert "(data.mean, data.std); views" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("own", "data", "expected"),
    [
        (recipe(16, 18), recipe(16, 18), TeacherInput()),
        (recipe(224, 256), recipe(64), TeacherInput(224, crop=0.875)),
        (recipe(224, 256), recipe(128, 144), TeacherInput(224)),  # what the view shows is as much already
        (recipe(224, 256), recipe(64, augment="crop"), TeacherInput(224)),  # a random crop is not cropped again
    ],
)
def test_a_picture_is_cropped_once(own, data, expected):
    seen = input_of(own.data, data.teacher, data)
    assert (seen.size, seen.interpolation, round(seen.crop, 2)) == (expected.size, "bilinear", round(expected.crop, 2))


def test_what_the_libraries_say_is_read():
    resnet, tensorflow = usual("torchvision:resnet18"), usual("timm:tf_efficientnet_b0")
    assert (resnet.interpolation, resnet.size, resnet.crop) == ("bilinear", 224, 0.875)
    assert tensorflow.interpolation == "bicubic"
    assert usual("timm:tf_mobilenetv3_small_minimal_100").mean == (0.5, 0.5, 0.5)


def test_a_teacher_of_points_is_not_cropped(tmp_path):
    """Its points would lie at other places of the view."""
    with pytest.raises(InputError, match=r"teacher\.crop is not for keypoints"):
        Run(
            load_recipe("keypoints_bottleneck", ["data.path=.", "teacher={model='bundle:x', crop=0.5}"]), tmp_path / "r"
        )
