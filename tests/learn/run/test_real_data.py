"""Real pictures, where ZOO_DATA names the folder with the archives: `make test-slow`."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.support.places import real_data

pytestmark = [pytest.mark.slow, pytest.mark.real_data]


def unpack(name, folder):
    subprocess.run(["tar", "xf", real_data(name), "-C", folder], check=True)
    return folder / name


def learn(zoo_command, command, recipe, *settings, only=()):
    words = [word for setting in settings for word in ("--set", setting)]
    words += [word for name in only for word in ("--only", name)]
    done = zoo_command(command, recipe, *words, "--json", timeout=1200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_flowers_from_folder_to_bundle(zoo_command, tmp_path):
    """4,317 photographs in five folders: far above chance after a short training, and exported within the budget."""
    flowers = unpack("flowers", tmp_path)
    short = ["data.size=32", "data.resize=36", "data.pad=2", "train.epochs=5", "teacher.train.epochs=4"]
    short += [f"data.path={flowers}", "teacher.stem_stride=4", "data.limit=1500"]
    found = learn(zoo_command, "distill", "imagefolder", *short, only=["vgg"])
    assert all(row["top1"] > 0.35 for row in found["networks"]), found
    packed = zoo_command("export", "runs/imagefolder/vgg", "-o", "flowers.zoo")
    assert packed.returncode == 0, packed.stderr
    some = sorted((flowers / "tulip").glob("*.jpg"))[:5]
    assert zoo_command("predict", "flowers.zoo", *some).returncode == 0


def test_a_depthwise_network_survives_both_flavours_of_int8(zoo_command, tmp_path):
    """MobileNetV2 on the photographs: its accuracy within 1 point, with nothing left in fp32."""
    flowers = unpack("flowers", tmp_path)
    short = [
        "data.size=32",
        "data.resize=36",
        "data.pad=2",
        "train.epochs=6",
        f"data.path={flowers}",
        "data.limit=1500",
    ]
    (row,) = learn(zoo_command, "train", "imagefolder", *short, only=["mobilenet_v2"])["networks"]
    assert row["top1"] > 0.35
    packed = zoo_command(
        "export", "runs/imagefolder/mobilenet_v2-control", "-o", "m.zoo", "--precision", "fp32,int8,int8s"
    )
    assert packed.returncode == 0, packed.stderr
    manifest = json.loads((tmp_path / "m.zoo" / "manifest.json").read_text())
    for precision in ("int8", "int8s"):
        assert manifest["accuracy"]["torch"] - manifest["accuracy"]["graphs"][precision] <= 0.01 + 1e-5
        assert manifest["graphs"][precision]["kept"] == {}


def test_part_of_cifar10(zoo_command, tmp_path):
    """2,000 training and 1,000 test images of CIFAR-10, for three epochs of vgg8 -> vgg8."""
    cifar = unpack("cifar10", tmp_path)
    for split, each in (("train", 200), ("test", 100)):
        for folder in (cifar / split).iterdir():
            for picture in sorted(folder.iterdir())[each:]:
                picture.unlink()
    quick = ["train.epochs=3", "train.schedule=cosine", "teacher.train.epochs=3", "teacher.train.schedule=cosine"]
    quick += ["teacher.knobs.depth=8", f"data.path={cifar}"]
    found = learn(zoo_command, "distill", "cifar10", *quick, only=["vgg8"])
    assert all(row["top1"] > 0.2 for row in found["networks"]), found
    shutil.rmtree(cifar)


def test_faces_with_missing_points(zoo_command, tmp_path):
    """500 of the faces, a third of which have 4 of their 15 points: two epochs are better than no face at all."""
    faces = unpack("facial_keypoints", tmp_path)
    for name, rows in (("training.csv", 400), ("test.csv", 100)):
        lines = (faces / name).read_text().splitlines(keepends=True)
        (faces / name).write_text("".join(lines[: rows + 1]))
    quick = [f"data.path={faces}", "data.size=48", "train.epochs=8", "train.patience=0"]
    found = learn(zoo_command, "train", "keypoints_cnn", *quick, only=["vgg8"])
    (row,) = found["networks"]
    assert row["rmse"] < 6, found  # pixels of 48
    packed = zoo_command("export", "runs/keypoints_cnn/vgg8-control", "-o", "faces.zoo", "--precision", "fp32,fp16")
    assert packed.returncode == 0, packed.stderr
