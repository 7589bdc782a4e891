"""A training whose whole step is captured learns what any other learns; on a CPU a replay does the work again."""

from __future__ import annotations

import csv
import io

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from tests.support.training import VIEWS, batches_of, cached, learnt, small_network
from zoo.errors import EnvironmentProblem, InputError, VerdictError
from zoo.learn.recipe.schema import Distillation, Training, load_recipe
from zoo.learn.run import checks
from zoo.learn.run.run import Run
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.train import cuda_graph_step, learner
from zoo.learn.train.learner import Learner
from zoo.learn.train.training import fit
from zoo.models import checkpoint

GPU = torch.cuda.is_available()


class WithoutGpu:
    """`Capturer` that does the work in place of a replay. It counts captures and replays."""

    def __init__(self):
        self.captures, self.replays = 0, 0

    def run(self, work):
        work()

    def capture(self, work):
        self.captures += 1

        def replay():
            self.replays += 1
            work()

        return replay


@pytest.fixture
def without_gpu(monkeypatch):
    """Trainings with compile = "graph" on this CPU, in torch eager."""
    if GPU:
        pytest.skip("a GPU captures by itself")
    capturer = WithoutGpu()
    for module in (cuda_graph_step, checks):
        monkeypatch.setattr(module, "capturer", lambda: capturer)
    monkeypatch.setattr(learner, "compiled", lambda function, mode: function)
    return capturer


def same(one, other, *, exactly=True):
    """The same weights and the same curves, at the same steps; or about the same curves, where the optimiser makes much
    of the noise that a bias before a norm gets for a gradient.
    """
    if exactly:
        torch.testing.assert_close(one[0], other[0], rtol=0, atol=0)
    rows = [list(csv.DictReader(io.StringIO(text))) for text in (one[1], other[1])]
    for row, twin in zip(*rows, strict=True):
        assert row.keys() == twin.keys()
        assert (row["epoch"], row["step"]) == (twin["epoch"], twin["step"])
        assert float(row["loss"]) == pytest.approx(float(twin["loss"]), rel=0.02)
        assert row == twin or not exactly


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "step", "milestones": (1, 2)},
        {"warmup": 1.0, "optimizer": "adamw", "lr": 0.003},
        {"body_lr": 0.1, "ema": 0.5, "smoothing": 0.1},
        {"head_epochs": 1},
        {"freeze": "features.3"},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_a_captured_step_learns_what_the_ordinary_one_learns(run, tmp_path, without_gpu, settings):
    plain, captured = (learnt(run, tmp_path / mode, mode, **settings) for mode in ("off", "graph"))
    same(plain, captured, exactly=settings.get("optimizer") != "adamw")  # its rates are float64 there
    again = 2 if settings.get("head_epochs") else 1
    assert (without_gpu.captures, without_gpu.replays) == (again, 3 * 7 - again * cuda_graph_step.WARM_UP)


@pytest.mark.parametrize("answers", ["online", "cached"])
def test_a_teacher_is_part_of_the_captured_step(run, tmp_path, without_gpu, answers):
    network = checkpoint.load(run.folder / "teacher")[0]
    distill = Distillation(warmup=1.5)
    found = []
    for mode in ("off", "graph"):
        teacher = OnlineTeacher(network) if answers == "online" else cached(run, VIEWS, tmp_path / "store")
        found.append(learnt(run, tmp_path / mode, mode, teacher, distill=distill))
    same(*found)
    assert "soft" in found[1][1]


def test_a_stopped_captured_training_continues_to_the_same_bits(run, tmp_path, without_gpu, monkeypatch):
    whole = learnt(run, tmp_path / "whole", "graph")
    begin = Learner.on_train_epoch_start

    def stopped(subject):
        if subject.current_epoch == 2:
            raise RuntimeError("stopped")
        begin(subject)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_epoch_start", stopped)
        with pytest.raises(RuntimeError, match="stopped"):
            learnt(run, tmp_path / "part", "graph")
    resumed = learnt(run, tmp_path / "part", "graph", resume=True)
    same(whole, resumed)


def test_a_learner_is_compiled_once_for_all_its_trainings(run, tmp_path, without_gpu, monkeypatch):
    """Of any length, as the rounds of `zoo bench training` are."""
    counter = CompileCounter()
    monkeypatch.setattr(
        learner, "compiled", lambda function, mode: torch.compile(function, dynamic=False, backend=counter)
    )
    how = Training(epochs=1, batch=8, compile="graph")
    subject = Learner(small_network(run), run.task, how, batches_of(run, VIEWS, 5))
    for turn in range(2):
        subject.batches.steps += turn
        fit(subject, tmp_path / str(turn), run.splits.test, title="t", settings=how, processes=1, resume=False)
    assert counter.frame_count == 1
    assert without_gpu.captures == 2


def test_a_loss_that_is_no_number_is_named_by_step_and_images(run, tmp_path, without_gpu):
    with pytest.raises(VerdictError, match=r"at step \d+, on the images \w+/\d+\.png"):
        learnt(run, tmp_path, "graph", lr=1e30, epochs=20)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["train.mixup=0.2", 'distill.answers="online"'], "cannot capture mixup and cutmix"),
        (["train.precision=fp16"], "cannot capture train.precision = 'fp16'"),
        (["processes=2"], "cannot capture processes > 1"),
        (['data.augment="crop"'], "cannot capture data.augment = 'crop'"),
        (["teacher={model='onnx:t.onnx'}", 'distill.answers="online"'], "cannot capture an ONNX teacher"),
    ],
)
def test_what_is_decided_in_every_step_is_refused(recipe_file, tmp_path, without_gpu, settings, complaint):
    with pytest.raises(InputError, match=complaint):
        Run(load_recipe(str(recipe_file), ["train.compile=graph", *settings]), tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_images_that_do_not_lie_on_the_device_are_refused(run, tmp_path, without_gpu, monkeypatch):
    monkeypatch.setattr(type(batches_of(run, VIEWS, 1)), "renders_on_device", False)
    with pytest.raises(InputError, match="no room for them"):
        learnt(run, tmp_path, "graph")


@pytest.mark.skipif(GPU, reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_captured(recipe_file, tmp_path):
    with pytest.raises(EnvironmentProblem, match="there is none: take 'off'"):
        Run(load_recipe(str(recipe_file), ["train.compile=graph"]), tmp_path / "r")
