"""What only a GPU can show of a training: that a captured step does there what the ordinary step does.

A capture goes wrong where memory or numbers are not those that it reads; the compiler has no part in that, and takes
ten seconds for each network. So most captures here are made of the step as it is, and the last tests compile.
"""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import pytest
import torch

from tests.support.training import VIEWS, batches_of, cached, learnt, small_network
from zoo.errors import VerdictError
from zoo.learn.recipe.schema import Distillation, Training, load_recipe
from zoo.learn.run.run import Run
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.train import learner, training
from zoo.learn.train.learner import Learner
from zoo.learn.train.training import fit
from zoo.models import checkpoint
from zoo.models.checkpoint import About
from zoo.models.construct import build

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module")
def problem(recipe_file, tmp_path_factory):
    """The parts of a run without its trainings: the teacher has random weights, which teach as strictly as others."""
    folder = tmp_path_factory.mktemp("gpu") / "r"
    opened = Run(load_recipe(str(recipe_file)), folder)
    torch.manual_seed(7)
    spec, data = opened.recipe.teacher, opened.recipe.data
    about = About(
        name="teacher",
        role="teacher",
        task="classification",
        network=spec.model_copy(update={"train": None}),
        labels=opened.splits.labels,
        data=data,
        seed=0,
        metrics={"top1": 0.0},
        provenance={},
    )
    checkpoint.save(build(spec, classes=3, size=data.size), about, folder / "teacher")
    return SimpleNamespace(recipe=opened.recipe, task=opened.task, splits=opened.splits, folder=folder)


@pytest.fixture
def as_it_is(monkeypatch):
    """Captures of steps that no compiler changed, so that all numbers but the order of sums are the same."""
    monkeypatch.setattr(learner, "compiled", lambda function, mode: function)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def teacher_of(problem, how, folder):
    if how == "cached":
        return cached(problem, VIEWS, folder / "store")
    return OnlineTeacher(checkpoint.load(problem.folder / "teacher")[0]) if how == "online" else None


def far_apart(begin, one, other):
    """By how much the weights of two trainings from one beginning ended apart, as a share of how far the first came.

    Single weights say nothing: a bias before a norm follows the noise of sums.
    """
    names = [name for name, tensor in begin.items() if tensor.is_floating_point() and "running" not in name]

    def distance(a, b):
        return sum((a[name].double() - b[name].double()).square().sum() for name in names).sqrt().item()

    return distance(one, other) / distance(begin, one)


def beginning(problem):
    torch.manual_seed(11)  # as `learnt`
    return small_network(problem).state_dict()


def losses_of(curves):
    return [float(row["loss"]) for row in csv.DictReader(io.StringIO(curves))]


def check_alike(problem, one, other, *, within=0.03):
    """Noise of a ten-thousandth in every convolution brings the weights 0.004 apart (AdamW's 0.03), one rate for all
    steps of an epoch 0.2, and one share of the soft loss 0.14: measured on a CPU.
    """
    apart = far_apart(beginning(problem), one[0], other[0])
    said = f"{apart:.4f} apart; losses {losses_of(one[1])} and {losses_of(other[1])}"
    assert apart < within, said
    assert losses_of(one[1]) == pytest.approx(losses_of(other[1]), rel=0.05), said
    columns = [[(row["epoch"], row["step"]) for row in csv.DictReader(io.StringIO(text))] for _, text in (one, other)]
    assert columns[0] == columns[1]
    counts = [{n: t.item() for n, t in state.items() if not t.is_floating_point()} for state, _ in (one, other)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize("how", ["no teacher", "cached", "online", "adamw", "head first", "averaged"])
def test_a_gpu_replays_what_the_ordinary_step_does(problem, tmp_path, as_it_is, how):
    """24 steps, of which most are replayed, while rates and the soft loss's share change in each one."""
    special = {"adamw": {"optimizer": "adamw", "lr": 1e-3}, "head first": {"head_epochs": 1}, "averaged": {"ema": 0.5}}
    settings = {"lr": 0.005, "precision": "fp32", "warmup": 1.0, **special.get(how, {})}
    found = []
    for mode in ("off", "graph"):
        teacher = teacher_of(problem, how, tmp_path)
        distill = Distillation(warmup=1.5)
        found.append(learnt(problem, tmp_path / mode, mode, teacher, distill=distill, steps=8, **settings))
    check_alike(problem, *found, within=0.1 if how == "adamw" else 0.03)  # it makes whole steps of noise


def test_a_gpu_continues_a_stopped_captured_training(problem, tmp_path, as_it_is, monkeypatch):
    settings = {"lr": 0.005, "precision": "fp32", "warmup": 1.0}
    whole = learnt(problem, tmp_path / "whole", "graph", **settings)
    begin = Learner.on_train_epoch_start

    def stopped(subject):
        if subject.current_epoch == 2:
            raise RuntimeError("stopped")
        begin(subject)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "on_train_epoch_start", stopped)
        with pytest.raises(RuntimeError, match="stopped"):
            learnt(problem, tmp_path / "part", "graph", **settings)
    check_alike(problem, whole, learnt(problem, tmp_path / "part", "graph", resume=True, **settings))


def test_a_gpu_finds_a_loss_that_is_no_number(problem, tmp_path, as_it_is):
    with pytest.raises(VerdictError, match=r"at step \d+, on the images \w+/\d+\.png"):
        learnt(problem, tmp_path, "graph", lr=1e30, epochs=20)


def without_waiting(problem, folder, monkeypatch, compile, answers):
    """A training in which CUDA itself raises at whatever waits within a step, once all is warm."""
    end = training._ProgressAndLoss.on_train_batch_end

    def begins(subject, *_):
        torch.cuda.set_sync_debug_mode("error" if subject.current_epoch else "default")

    def ends(*arguments):
        torch.cuda.set_sync_debug_mode("default")  # the last step of an epoch reads the losses
        end(*arguments)

    network = small_network(problem)
    settings = Training(epochs=2, batch=8, compile=compile)
    teacher = teacher_of(problem, answers, folder)
    subject = Learner(network, problem.task, settings, batches_of(problem, VIEWS, 8), teacher=teacher)
    monkeypatch.setattr(Learner, "on_train_batch_start", begins)
    monkeypatch.setattr(training._ProgressAndLoss, "on_train_batch_end", ends)
    try:
        fit(subject, folder, problem.splits.test, title="t", settings=settings, processes=1, resume=False)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("compile", ["off", "graph"])
@pytest.mark.parametrize("answers", ["no teacher", "cached"])
def test_on_a_gpu_a_step_does_not_wait(problem, tmp_path, as_it_is, monkeypatch, compile, answers):
    without_waiting(problem, tmp_path, monkeypatch, compile, answers)


def test_on_a_gpu_a_compiled_step_with_a_teacher_does_not_wait(problem, tmp_path, monkeypatch):
    """The teacher was loaded on the CPU: it has to be on the GPU before a step is compiled."""
    without_waiting(problem, tmp_path, monkeypatch, "graph", "online")


def test_a_gpu_replays_what_was_compiled(problem, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    settings = {"lr": 0.005, "precision": "fp32", "warmup": 1.0, "steps": 8}
    check_alike(problem, *(learnt(problem, tmp_path / mode, mode, **settings) for mode in ("off", "graph")))
