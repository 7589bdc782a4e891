"""The `zoo` command as a user meets it: what it prints, and one clear line with a documented exit code for the rest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.support.command import one_line
from tests.support.pictures import write_pictures


def test_help_names_every_command(zoo_process):
    shown = zoo_process("--help")
    assert shown.returncode == 0
    for command in ("demo", "list", "train", "distill", "export", "predict", "verify", "bench"):
        assert f" {command} " in shown.stdout
    assert zoo_process("--version").stdout.strip() == "0.1.0"


def test_list_as_data(zoo_command):
    listed = json.loads(zoo_command("list", "--json").stdout)
    families = {(entry["family"], entry["classes"], entry["size"]): entry for entry in listed["students"]}
    assert families["vgg", 1000, 224]["parameters"] == 138_365_992
    assert {"digits", "imagefolder", "cifar10"} <= set(listed["recipes"])


def test_your_own_images_from_folder_to_answer(zoo_command, tmp_path):
    """The whole line as the README tells it: distill, export, verify, predict, bench."""
    write_pictures(tmp_path / "my pictures ü", each=20)
    small = ["data.size=16", "data.resize=16", "data.pad=1", "train.epochs=6", "train.batch=16", "train.warmup=0"]
    small += ["teacher.train.epochs=2", "teacher.train.batch=16", "teacher.stem_stride=1", "teacher.train.warmup=0"]
    settings = [word for pair in small for word in ("--set", pair)]
    settings += ["--set", "data.path=my pictures ü", "--only", "vgg"]
    done = zoo_command("distill", "imagefolder", *settings, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["networks"]
    assert [row["name"] for row in rows] == ["teacher", "vgg-control", "vgg"]

    packed = zoo_command("export", "runs/imagefolder/vgg", "-o", "vgg.zoo", "--precision", "fp32,fp16")
    assert packed.returncode == 0, packed.stderr
    assert "model.fp16.onnx" in packed.stdout
    verified = zoo_command("verify", "vgg.zoo")
    assert verified.returncode == 0, verified.stderr
    assert "fp32 on onnxruntime: passed" in verified.stdout

    answered = zoo_command("predict", "vgg.zoo", "my pictures ü/cross/000.png", "--json")
    assert answered.returncode == 0, answered.stderr
    (result,) = json.loads(answered.stdout)["results"]
    assert abs(sum(entry["score"] for entry in result["top"]) - 1) < 1e-5


def test_predict_answers_what_it_can_and_names_the_rest(zoo_command, bundle_path, pictures, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no")
    good = pictures / "cross" / "001.png"
    shown = zoo_command("predict", bundle_path, "broken.jpg", good)
    assert shown.returncode == 2
    assert "broken.jpg" in one_line(shown.stderr)
    assert shown.stdout.startswith(f"{good}: ")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["prdict"], 2, "Did you mean 'predict'"),
        (["predict", "nothing.zoo", "x.png"], 2, "no such bundle: nothing.zoo"),
        (["train", "digitz"], 2, "did you mean 'digits'"),
        (["train", "digits", "--set", "data.sise=8"], 2, "unknown key 'data.sise'; did you mean 'size'?"),
        (["train", "imagefolder"], 2, "data.path is not given"),
        (["train", "imagefolder", "--set", "data.path=gone"], 2, "no such folder: gone"),
        (["train", "digits", "--only", "vgq"], 2, "did you mean 'vgg'"),
        (["train", "digits", "--set", "teacher.model=timm:resnet9999"], 2, "timm has no model"),
        (["list", "--cost", "vgg", "--set", "classes=5"], 2, "is no knob"),
        (["export", "gone", "-o", "x.zoo"], 2, "no checkpoint at gone"),
        (["verify", "gone.zoo"], 2, "no such bundle: gone.zoo"),
        (["bench", "run"], 2, "nothing to measure"),
        (["bench", "report", "gone.json"], 2, "gone.json"),
    ],
)
def test_mistakes_are_one_line(zoo_command, words, code, complaint):
    shown = zoo_command(*words)
    assert shown.returncode == code, shown.stderr
    assert complaint in one_line(shown.stderr)


def test_a_demo_never_deletes_what_is_not_a_demo(zoo_command, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"dear")
    shown = zoo_command("demo", "--out", "photos")
    assert shown.returncode == 2
    assert "not a demo" in one_line(shown.stderr)
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"dear"


def test_a_bundle_name_says_that_it_is_one(zoo_command, run):
    shown = zoo_command("export", run.folder / "vgg", "-o", "vgg.onnx")
    assert shown.returncode == 2
    assert "ends in .zoo" in one_line(shown.stderr)
    shown = zoo_command("export", run.folder / "vgg", "-o", "vgg.zoo", "--precision", "fp32,int9")
    assert shown.returncode == 2
    assert "did you mean 'int8'" in one_line(shown.stderr)


def test_a_failed_selftest_is_exit_1(zoo_command, bundle_path, tmp_path):
    copy = shutil.copytree(bundle_path, tmp_path / "copy.zoo")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["selftest"]["tolerance"]["int8"] = -1.0
    (copy / "manifest.json").write_text(json.dumps(manifest))
    shown = zoo_command("verify", copy)
    assert shown.returncode == 1
    assert "self-test of int8 failed" in one_line(shown.stderr)


def test_an_output_that_cannot_be_written_is_exit_4(zoo_command, run):
    for words in (
        ["export", run.folder / "vgg", "-o", "/proc/no/vgg.zoo"],
        ["train", "digits", "--out", "/proc/no/run"],
    ):
        shown = zoo_command(*words)
        assert shown.returncode == 4, shown.stderr
        assert "/proc/no" in one_line(shown.stderr)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = (
        os.geteuid() == 0
        and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True, check=False
        ).returncode
        == 0
    )
    if not made:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(zoo_command, run, small_disk, recipe_file):
    shown = zoo_command("export", run.folder / "mobilenet_v2", "-o", small_disk / "m.zoo")
    assert shown.returncode == 4, shown.stderr
    assert "No space left" in one_line(shown.stderr)
    assert list(small_disk.iterdir()) == []

    shown = zoo_command("train", recipe_file, "--only", "mobilenet_v2", "--out", small_disk / "run")
    assert shown.returncode == 4, shown.stderr
    assert "No space left" in one_line(shown.stderr)
    assert not (small_disk / "run" / "mobilenet_v2-control" / "model.safetensors").exists()
