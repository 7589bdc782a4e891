"""Training: what a run leaves behind, that it can be stopped and continued, that it is the same twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.support.command import in_process, one_line
from zoo.errors import InputError, VerdictError
from zoo.learn.recipe.schema import Student, Training, load_recipe
from zoo.learn.run.run import Run
from zoo.learn.train.learner import Learner
from zoo.models import checkpoint
from zoo.models.eager import from_checkpoint


def test_a_run_leaves_what_a_user_needs(run):
    assert (run.folder / "recipe.toml").read_text().startswith('name = "shapes"')
    assert "torch" in json.loads((run.folder / "environment.json").read_text())["versions"]
    for name, role in (("teacher", "teacher"), ("vgg-control", "control"), ("vgg", "student")):
        about = checkpoint.read_about(run.folder / name)
        assert (about.name, about.role, about.labels) == (name, role, ["circle", "cross", "stripes"])
        curve = (run.folder / name / "logs" / "metrics.csv").read_text().splitlines()
        assert "test_top1" in curve[0]
        assert len(curve) == 1 + 4  # one line for each epoch
        assert list((run.folder / name / "logs").glob("events.out.tfevents*"))
        assert not (run.folder / name / "last.ckpt").exists()  # only an unfinished training needs it


def test_roles_see_the_labels_they_may(run):
    def seen(name):
        return checkpoint.read_about(run.folder / name).provenance

    assert seen("teacher")["labelled_images"] == seen("teacher")["training_images"] == 96
    assert seen("vgg-control")["labelled_images"] == seen("vgg-control")["training_images"] == 48
    assert (seen("vgg")["labelled_images"], seen("vgg")["training_images"]) == (48, 96)


def test_a_checkpoint_is_a_plain_state_dict(run):
    from safetensors.torch import load_file

    network, about = checkpoint.load(run.folder / "mobilenet_v2")
    state = load_file(run.folder / "mobilenet_v2" / checkpoint.FILE)
    assert set(state) == set(network.network.state_dict())
    answers = from_checkpoint(run.folder / "mobilenet_v2").logits(run.splits.test.images)
    assert about.metrics["top1"] == pytest.approx((answers.argmax(1) == run.splits.test.targets).mean())
    assert not network.training


def test_the_same_seed_trains_to_the_same_bits(recipe_file, tmp_path):
    states = []
    for folder in ("a", "b"):
        run = Run(load_recipe(str(recipe_file)), tmp_path / folder)
        network, _ = checkpoint.load(run.control(run.recipe.students[1]))
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_finished_run_is_not_overwritten_and_not_repeated(run, recipe_file, tmp_path):
    with pytest.raises(InputError, match="--resume"):
        Run(run.recipe, run.folder)
    with pytest.raises(InputError, match=r"differs in train\.lr"):
        Run(load_recipe(str(recipe_file), ["train.lr=0.01"]), run.folder, resume=True)
    before = (run.folder / "vgg" / checkpoint.FILE).stat().st_mtime_ns
    again = Run(run.recipe, run.folder, resume=True)
    again.distilled(again.recipe.students[0])
    assert (run.folder / "vgg" / checkpoint.FILE).stat().st_mtime_ns == before


def test_a_mistake_in_the_last_student_stops_before_the_first_is_trained(recipe_file, tmp_path):
    with pytest.raises(InputError, match="did you mean 'width'"):
        Run(load_recipe(str(recipe_file), ["students.mobilenet_v2.knobs.widht=1.0"]), tmp_path / "r")
    with pytest.raises(InputError, match="no such folder"):
        Run(load_recipe(str(recipe_file), ["data.path=/nowhere"]), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_loss_that_is_no_number_stops_with_advice(recipe_file, tmp_path):
    settings = ["train.lr=1e30", "train.epochs=20"]
    run = Run(load_recipe(str(recipe_file), settings), tmp_path / "r")
    with pytest.raises(VerdictError, match=r"at step \d+, on the images \w+/\d+\.png.*a smaller train\.lr"):
        run.control(run.recipe.students[0])


def test_library_networks_with_weights_from_a_file(recipe_file, run, tmp_path):
    import timm
    import torchvision

    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=1000).state_dict(), tmp_path / "r18.pth")
    network = timm.create_model("test_resnet", num_classes=3)
    torch.save(network.state_dict(), tmp_path / "timm.pth")

    settings = [f'teacher={{model="timm:test_resnet", weights="{tmp_path / "timm.pth"}"}}']
    taken = Run(load_recipe(str(recipe_file), settings), tmp_path / "taken").teacher()
    loaded, about = checkpoint.load(taken)
    assert about.network.model == "timm:test_resnet"
    assert torch.equal(loaded.network.state_dict()["conv1.0.weight"], network.state_dict()["conv1.0.weight"])

    training = "train={epochs=1, batch=32, lr=0.001}"
    settings = [f'teacher={{model="torchvision:resnet18", weights="{tmp_path / "r18.pth"}", {training}}}']
    tuned = Run(load_recipe(str(recipe_file), settings), tmp_path / "tuned").teacher()
    assert checkpoint.read_about(tuned).metrics["top1"] > 0  # 1,000 outputs there, 3 here: the head started afresh

    settings = [f'teacher={{model="torchvision:resnet18", weights="{tmp_path / "r18.pth"}"}}']
    with pytest.raises(InputError, match=r"1000 numbers and 3 are needed.*ImageNet body, new head"):
        Run(load_recipe(str(recipe_file), settings), tmp_path / "refused").teacher()


def test_weights_are_never_unpickled(recipe_file, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    torch.save({"weight": Trap()}, tmp_path / "evil.pth")
    settings = [f'teacher={{model="torchvision:resnet18", weights="{tmp_path / "evil.pth"}"}}']
    with pytest.raises(InputError, match=r"evil\.pth"):
        Run(load_recipe(str(recipe_file), settings), tmp_path / "r").teacher()
    assert not (tmp_path / "sprung").exists()


def test_a_student_may_have_its_own_training():
    student = Student(name="x", model="vgg", train=Training(epochs=3))
    assert student.train is not None
    assert student.train.epochs == 3


def train(recipe_file, folder, *more):
    """The words of a training that is long enough to be stopped in the middle."""
    return ["train", str(recipe_file), "--out", str(folder), "--only", "vgg", "--set", "train.epochs=40", *more]


@pytest.fixture(scope="module")
def uninterrupted(recipe_file, tmp_path_factory):
    """The folder of a training that nobody stopped."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    whole = in_process(train(recipe_file, folder), cwd=folder.parent)
    assert whole.returncode == 0, whole.stderr
    return folder / "vgg-control"


@pytest.mark.parametrize(
    ("kill", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGKILL, -9, marks=pytest.mark.slow)]
)
def test_a_stopped_training_continues_to_the_same_bits(recipe_file, uninterrupted, tmp_path, kill, code):
    """Stopped by Ctrl-C or killed outright: --resume ends where an uninterrupted training ends."""
    command = [str(Path(sys.executable).with_name("zoo")), *train(recipe_file, tmp_path / "stopped")]
    stopped = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    folder = tmp_path / "stopped" / "vgg-control"
    last = folder / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    stopped.send_signal(kill)
    _, complaint = stopped.communicate(timeout=120)
    assert stopped.returncode == code
    if kill == signal.SIGINT:
        assert "--resume" in one_line(complaint)
    assert not (folder / checkpoint.FILE).exists()

    resumed = in_process(train(recipe_file, tmp_path / "stopped", "--resume"), cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    curves = [(run / "logs" / "metrics.csv").read_text() for run in (uninterrupted, folder)]
    assert curves[0] == curves[1]
    states = [checkpoint.load(run)[0].state_dict() for run in (uninterrupted, folder)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_epoch_has_its_line_before_its_state_is_kept(recipe_file, tmp_path, monkeypatch):
    """So that whoever stops a training at any moment continues from an epoch that is in the curves."""
    run = Run(load_recipe(str(recipe_file)), tmp_path / "r")
    lines = []
    keep = Learner.on_save_checkpoint

    def kept(learner, state):
        curve = run.folder / "vgg-control" / "logs" / "metrics.csv"
        lines.append(len(curve.read_text().splitlines()) - 1)
        keep(learner, state)

    monkeypatch.setattr(Learner, "on_save_checkpoint", kept)
    run.control(run.recipe.students[0])
    assert lines == [1, 2, 3, 4]


def test_a_distillation_with_everything_on_continues_to_the_same_bits(recipe_file, run, tmp_path, monkeypatch):
    """Averages, blends, hints and a momentum of their adapters all come back with --resume."""
    hint = '{student="features.3", teacher="features.3", loss="fitnet", weight=1.0}'
    settings = [f"teacher.model=run:{run.folder / 'teacher'}", f"distill.hints=[{hint}]", 'distill.answers="online"']
    settings += ["train.ema=0.9", "train.mixup=0.3", "train.cutmix=1.0"]

    def distilled(folder, *, resume=False):
        made = Run(load_recipe(str(recipe_file), settings), tmp_path / folder, resume=resume)
        return checkpoint.load(made.distilled(made.recipe.students[0]))[0].state_dict()

    whole = distilled("whole")
    begin = Learner.on_train_epoch_start

    def stopped_in_the_third_epoch(learner):
        if learner.current_epoch == 2:
            raise RuntimeError("stopped")
        begin(learner)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_epoch_start", stopped_in_the_third_epoch)
        with pytest.raises(RuntimeError, match="stopped"):
            distilled("stopped")
    resumed = distilled("stopped", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
