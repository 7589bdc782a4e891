"""Real pictures, where ZOO_DATA names the folder with the archives: `make test-slow`."""

from __future__ import annotations

import json
import subprocess

import pytest
from conftest import real_data

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


def unpack(name, folder):
    subprocess.run(["tar", "xf", real_data(name), "-C", folder], check=True)
    return folder / name


def learn(zoo_command, command, recipe, *settings):
    words = [word for setting in settings for word in ("--set", setting)]
    done = zoo_command(command, recipe, *words, "--only", "vgg" if recipe == "imagefolder" else "vgg8", "--json")
    assert done.returncode == 0, done.stderr
    return {row["role"]: row["top1"] for row in json.loads(done.stdout)["networks"]}


def test_flowers_from_folder_to_bundle(zoo_command, tmp_path):
    """4,317 photographs in five folders: far above chance after a short training, and exported within the budget."""
    flowers = unpack("flowers", tmp_path)
    short = ["data.size=32", "data.resize=36", "data.pad=2", "train.epochs=5", "teacher.train.epochs=4"]
    scores = learn(
        zoo_command,
        "distill",
        "imagefolder",
        f"data.path={flowers}",
        *short,
        "teacher.stem_stride=4",
        "data.limit=1500",
    )
    assert all(score > 0.35 for score in scores.values()), scores
    packed = zoo_command("export", "runs/imagefolder/vgg", "-o", "flowers.zoo")
    assert packed.returncode == 0, packed.stderr
    some = sorted((flowers / "tulip").glob("*.jpg"))[:5]
    assert zoo_command("predict", "flowers.zoo", *some).returncode == 0


def test_part_of_cifar10(zoo_command, tmp_path):
    """2,000 training images of CIFAR-10 and its own test set, for two epochs of vgg13 -> vgg8."""
    cifar = unpack("cifar10", tmp_path)
    quick = ["data.limit=2000", "train.epochs=3", "train.schedule=cosine", "teacher.train.epochs=3"]
    quick += ["teacher.train.schedule=cosine", "teacher.knobs.depth=8"]
    scores = learn(zoo_command, "distill", "cifar10", f"data.path={cifar}", *quick)
    assert all(score > 0.2 for score in scores.values()), scores
