"""Settings of a training that engineers trust: averages, blends, early stopping, losses, several processes."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from zoo.errors import InputError
from zoo.learn.batch import Batch
from zoo.learn.recipe.schema import Training, load_recipe
from zoo.learn.run.run import Run
from zoo.learn.train.mixup_cutmix import mixup_cutmix
from zoo.learn.train.schedule import rate_factor
from zoo.models import checkpoint


def curves(folder):
    with (folder / "logs" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def control(recipe_file, folder, *settings):
    run = Run(load_recipe(str(recipe_file), settings), folder)
    run.control(run.recipe.students[0])
    return folder / "vgg-control"


def test_schedules():
    cosine = Training(epochs=10, warmup=2)
    assert rate_factor(cosine, 1) == pytest.approx(0.5, abs=1e-3)
    assert rate_factor(cosine, 2) == pytest.approx(1)
    assert rate_factor(cosine, 6) == pytest.approx(0.5)
    assert rate_factor(cosine, 10) == pytest.approx(0)
    step = Training(epochs=240, schedule="step", milestones=(150, 180, 210))
    assert [rate_factor(step, epoch) for epoch in (0, 149.9, 150, 185, 239)] == pytest.approx([1, 1, 0.1, 0.01, 1e-3])
    linear = Training(epochs=10, lr=0.1, schedule="linear", final_lr=0.02)
    assert [rate_factor(linear, epoch) for epoch in (0, 5, 10)] == pytest.approx([1, 0.6, 0.2])
    assert rate_factor(Training(epochs=10, schedule="constant"), 9) == 1


def batch_of(count, size=8):
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, size, size, 3) * 10
    every = torch.ones(count, dtype=torch.bool)
    return Batch(images, torch.arange(count), every, torch.arange(count), torch.zeros(count, dtype=torch.int64))


def test_mixup_is_a_weighted_mean_of_two_pictures():
    torch.manual_seed(0)
    batch = batch_of(6)
    mixed = mixup_cutmix(batch, mixup=0.4, cutmix=0)
    expected = batch.images * mixed.share + batch.images[mixed.partner] * (1 - mixed.share)
    torch.testing.assert_close(mixed.batch.images, expected)
    assert mixup_cutmix(batch, mixup=0, cutmix=0) is None


def test_cutmix_counts_the_pixels_it_replaced():
    torch.manual_seed(1)
    batch = batch_of(6, size=32)
    for _ in range(20):
        mixed = mixup_cutmix(batch, mixup=0, cutmix=1.0)
        replaced = (mixed.batch.images != batch.images).any(3).float().mean((1, 2))
        moved = mixed.partner != torch.arange(6)
        torch.testing.assert_close(replaced[moved], torch.full_like(replaced[moved], 1 - mixed.share))


def test_the_average_is_what_is_tested_and_kept(recipe_file, tmp_path):
    """With a decay that forgets at once the average is the last step's network; with a slow one it lags behind."""
    plain = checkpoint.load(control(recipe_file, tmp_path / "plain"))[0].state_dict()
    fast = control(recipe_file, tmp_path / "fast", "train.ema=1e-9")
    slow = control(recipe_file, tmp_path / "slow", "train.ema=0.9")
    weights = {folder: checkpoint.load(folder)[0].state_dict() for folder in (fast, slow)}
    for name, tensor in plain.items():
        torch.testing.assert_close(weights[fast][name], tensor, rtol=1e-5, atol=1e-6)
    assert any(not torch.allclose(weights[slow][name], tensor) for name, tensor in plain.items())
    last = float(curves(slow)[-1]["test_top1"])
    assert checkpoint.read_about(slow).metrics["top1"] == pytest.approx(last)


def test_early_stopping_looks_at_a_part_of_the_training_images(recipe_file, tmp_path):
    stopped = control(
        recipe_file, tmp_path / "r", "train.epochs=60", "train.patience=2", "train.lr=1e-9", "data.validation=0.25"
    )
    lines = curves(stopped)
    assert len(lines) < 60
    assert {"validation_loss", "validation_top1", "test_top1"} <= set(lines[0])
    with pytest.raises(InputError, match=r"data\.validation"):
        control(recipe_file, tmp_path / "x", "train.patience=2")


def test_every_soft_loss_and_hint_trains(recipe_file, run, tmp_path):
    teacher = f"teacher.model=run:{run.folder / 'teacher'}"
    hint = '{student="features.3", teacher="features.3", loss="attention", weight=10.0}'
    ways = {
        "dkd": ['distill.loss="dkd"', "distill.parameters={alpha=1.0, beta=2.0}", "data.labelled=1.0"],
        "dist": ['distill.loss="dist"', "distill.weights=[1.0, 2.0]"],
        "standardised": ["distill.standardise=true", "distill.warmup=2.0"],
        "hints": [f"distill.hints=[{hint}]", 'distill.answers="online"'],
        "mixed": ["train.mixup=0.3", "train.cutmix=1.0", "train.smoothing=0.1", 'distill.answers="online"'],
        "recorded": ['distill.answers="recorded"'],
    }
    for name, settings in ways.items():
        other = Run(load_recipe(str(recipe_file), [teacher, *settings]), tmp_path / name / "r")
        other.distilled(other.recipe.students[0])
        lines = curves(other.folder / "vgg")
        assert float(lines[-1]["soft"]) < float(lines[0]["soft"]), name
        if name == "hints":
            assert float(lines[0]["hint.attention:features.3"]) > 0
    clean = checkpoint.load(tmp_path / "hints" / "r" / "vgg")[0]
    assert not any("hint" in name for name in clean.state_dict())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (['distill.loss="dkdd"'], "distill.loss 'dkdd' is not for classification"),
        (['distill.loss="dkd"'], r"data\.labelled = 1"),
        (["distill.parameters={alpha=1.0}"], "kd has no parameter 'alpha'"),
        (["train.mixup=0.2"], "set distill.answers to 'online'"),
        (["distill.lambda=0.5", "distill.weights=[1.0, 1.0]"], "give one of them"),
        (["train.cache_features=true"], "head_epochs to epochs"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_written(recipe_file, tmp_path, settings, complaint):
    with pytest.raises(InputError, match=complaint):
        Run(load_recipe(str(recipe_file), settings), tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(recipe_file, tmp_path):
    """At the same global batch, with a norm that does not look at the batch: the same curve to 1e-4."""
    settings = ["data.labelled=1.0", "train.epochs=6", 'students.vgg.knobs={depth=8, width=0.125, norm="group"}']
    losses = []
    for processes in (1, 2):
        words = [word for setting in (*settings, f"processes={processes}") for word in ("--set", setting)]
        folder = tmp_path / str(processes)
        command = [
            Path(sys.executable).with_name("zoo"),
            "train",
            recipe_file,
            "--only",
            "vgg",
            "--out",
            folder,
            *words,
        ]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("vgg-control") == 2  # its row, and its path: printed once
        losses.append([float(line["test_loss"]) for line in curves(folder / "vgg-control")])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_bundle_teaches_as_the_network_in_it_does(recipe_file, run, bundle_path, tmp_path, zoo_command):
    """The answers of a graph, cached and read: what a student would learn from the network itself."""
    curves_of = []
    for name, model in (("graph", f"bundle:{bundle_path}"), ("network", f"run:{run.folder / 'mobilenet_v2'}")):
        settings = ["--set", f"teacher={{ model = '{model}' }}", "--only", "vgg", "--json"]
        done = zoo_command("distill", recipe_file, *settings, "--out", f"{name}/r")
        assert done.returncode == 0, done.stderr
        curves_of.append([float(line["soft"]) for line in curves(tmp_path / name / "r" / "vgg")])
    assert curves_of[0] == pytest.approx(curves_of[1], rel=1e-2)
