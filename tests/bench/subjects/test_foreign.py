"""Networks that are not ours in the bench: models of timm and torchvision with local weights, an ONNX file."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.main import get_command

import bench
from bench.cases import Limits
from bench.cli import app
from bench.subjects.accuracy import evaluate
from bench.subjects.opening import open_subject
from bench.suite.case_list import list_cases
from bench.suite.choices import Choices
from tests.support.tiny import GRAPH, LABELS, colour_folder
from zoo.errors import EnvironmentProblem, InputError
from zoo.learn.teachers.library import from_library

command = get_command(app)
BRIEF = Limits(seconds=0.05, min_rounds=1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of each library, fine-tuned to three classes as far as its weights can tell."""
    import timm
    import torchvision

    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(timm.create_model("mobilenetv3_small_050", num_classes=3).state_dict(), folder / "timm.safetensors")
    found = torchvision.models.get_model("mobilenet_v3_small", num_classes=3)
    torch.save({"state_dict": found.state_dict()}, folder / "torchvision.pth")
    return {"timm": folder / "timm.safetensors", "torchvision": folder / "torchvision.pth"}


def test_a_librarys_model_is_opened_as_its_library_feeds_it(weights, tmp_path):
    test = colour_folder(tmp_path / "test", each=1)
    teachers = [f"timm:mobilenetv3_small_050={weights['timm']}"]
    peers = [f"torch-eager=torchvision:mobilenet_v3_small={weights['torchvision']}"]
    choices = Choices(batches=[1], evaluation=test, threads=1, peers=peers)
    eager, peer = list_cases([], teachers, choices)
    assert (eager.name, eager.backend, eager.role) == ("mobilenetv3_small_050", "torch", "teacher")
    assert (peer.name, peer.backend, peer.role) == ("mobilenet_v3_small", "torch-eager", None)
    for case, cropped in ((eager, 256), (peer, 256)):
        subject = open_subject(case)
        assert subject.preprocessing.height == 224
        assert subject.preprocessing.resize == cropped
        assert subject.engine.text == f"{case.backend} fp32, 1 thread"
        assert subject.bytes_on_disk == case.subject.stat().st_size
        assert subject.task.labels == sorted(LABELS)  # the order in which both libraries number folders
        assert evaluate(subject, test).images == 3
        words = shlex.split(case.command())
        assert list_cases([], words[4:5] if case is eager else [], Choices(peers=[] if case is eager else words[4:5]))


def test_an_onnx_file_is_measured_and_its_command_measures_it_again(tmp_path):
    import onnx

    file = tmp_path / "colours.onnx"
    onnx.save(onnx.parser.parse_model(GRAPH), file)
    test = colour_folder(tmp_path / "test", labels=LABELS)
    (case,) = list_cases([], [f"onnx:{file}"], Choices(batches=[2], threads=1, limits=BRIEF))
    assert case.command() == f"zoo bench run --teacher onnx:{file} --batch 2 --threads 1 --time-limit 0.05"
    (row,) = bench.run([case.model_copy(update={"evaluation": test})]).rows
    assert row.error is None
    assert (row.model, row.role, row.engine.text) == ("colours", "teacher", "onnxruntime fp32, 1 thread")
    assert row.bytes_on_disk == file.stat().st_size
    assert row.accuracy.images == 6  # red, green and blue are its outputs; sorted folders are blue, green, red
    assert row.accuracy.value == pytest.approx(1 / 3)


def test_weights_that_do_not_fit_say_so(weights, tmp_path):
    with pytest.raises(InputError, match=r"does not fit timm:resnet18: it has no 'fc.weight'"):
        from_library("timm:resnet18", str(weights["timm"]))
    with pytest.raises(InputError, match=r"has 3 outputs in .*, and 2 labels are given"):
        from_library("timm:mobilenetv3_small_050", str(weights["timm"]), ["a", "b"])
    with pytest.raises(InputError, match="has no dense layer"):
        from_library("torchvision:squeezenet1_1", str(weights["torchvision"]))
    with pytest.raises(InputError, match="timm has no model 'resnet81'; did you mean"):
        from_library("timm:resnet81", str(weights["timm"]))


@pytest.mark.slow
def test_weights_that_a_library_cannot_fetch_are_missed_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    out = tmp_path / "results.json"
    with pytest.raises(EnvironmentProblem, match=r"cannot fetch the weights of timm:resnet18: .*give a local file"):
        command(["run", "--teacher", "timm:resnet18", "--out", str(out)], standalone_mode=False)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--teacher", "tim:resnet18"], r"write one of run:DIR, timm:NAME.*did you mean 'timm'"),
        (["--teacher", "timm:resnet18=gone.pth"], "no such weights file: gone.pth"),
        (["--teacher", "onnx:gone.onnx"], "no such ONNX file: gone.onnx"),
        (["--peer", "torch-eager=gone"], "no such checkpoint: gone"),
        (["--peer", f"torch-compile=onnx:{__file__}"], "torch-compile runs networks of torch, not an ONNX file"),
    ],
)
def test_bad_names_are_one_line(words, reason):
    with pytest.raises(InputError, match=reason):
        command(["run", *words], standalone_mode=False)
