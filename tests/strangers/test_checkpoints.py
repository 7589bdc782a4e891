"""Weights as people's training scripts save them: found, or one line that says what the file holds instead."""

from __future__ import annotations

import argparse
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.support.command import one_line
from zoo.errors import InputError
from zoo.models.config import Network
from zoo.models.construct import build

SPEC = Network(model="vgg", knobs={"depth": 8, "width": 0.125})


def network(weights: str = "", classes: int = 3) -> nn.Module:
    return build(SPEC.model_copy(update={"weights": weights}), classes=classes, size=16).eval()


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    torch.manual_seed(1)
    made = network()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


def under(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return OrderedDict((prefix + key, value) for key, value in state.items())


WRAPPED = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "net, acc and epoch": lambda state: {"net": under("module.", state), "acc": 93.1, "epoch": 9},
    "model and a Namespace": lambda state: {"model": state, "args": argparse.Namespace(lr=0.1), "epoch": 1},
    "Lightning": lambda state: {"state_dict": under("model.", state), "pytorch-lightning_version": "2.6"},
    "DataParallel": lambda state: under("module.", state),
    "torch.compile": lambda state: under("_orig_mod.", state),
    "both": lambda state: {"model": under("module._orig_mod.", state)},
    "half precision": lambda state: {key: v.half() if v.is_floating_point() else v for key, v in state.items()},
    "a list of tensors": lambda state: [v for key, v in state.items() if not key.endswith("num_batches_tracked")],
    "an optimizer beside it": lambda state: {"model": state, "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}}},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_weights_are_found_wherever_a_script_put_them(trained, tmp_path, kind) -> None:
    torch.save(WRAPPED[kind](trained.state_dict()), tmp_path / "w.pth")
    found = network(str(tmp_path / "w.pth"))
    images = torch.randn(2, 3, 16, 16)
    allowed = 0.05 if kind == "half precision" else 1e-5
    with torch.no_grad():
        torch.testing.assert_close(found(images), trained(images), rtol=allowed, atol=allowed)


def test_safetensors_are_known_by_their_content(trained, tmp_path) -> None:
    save_file({key: value.contiguous() for key, value in trained.state_dict().items()}, tmp_path / "weights.bin")
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(str(tmp_path / "weights.bin"))(images), trained(images))


def test_the_moving_average_is_taken_and_that_is_said(trained, tmp_path, capsys) -> None:
    other = {key: torch.zeros_like(value) for key, value in trained.state_dict().items()}
    torch.save({"state_dict": other, "state_dict_ema": trained.state_dict()}, tmp_path / "w.pth")
    found = network(str(tmp_path / "w.pth"))
    assert torch.equal(next(found.parameters()), next(trained.parameters()))
    assert "state_dict_ema" in capsys.readouterr().err


class Payload:
    """A pickle that would write a file if it were run."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self):
        return open, (self.mark, "w")


def test_nothing_in_a_file_is_run(trained, tmp_path) -> None:
    mark = tmp_path / "was here"
    torch.save({"model": trained.state_dict(), "extra": Payload(str(mark))}, tmp_path / "w.pth")
    network(str(tmp_path / "w.pth"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"optimizer": {"state": {}}, "epoch": 3}, "optimizer"),
        ({"model": {"other.weight": torch.ones(3, 4)}}, "does not fit"),
        ("a note", "does not fit|cannot be read"),
    ],
)
def test_what_holds_no_weights_says_what_it_holds(tmp_path, content, complaint) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(InputError, match=complaint):
        network(str(tmp_path / "w.pth"))


def test_a_step_is_tried_before_anything_is_written(zoo_command, pictures, tmp_path) -> None:
    """One image, one pixel: BatchNorm has nothing to take a variance of."""
    words = ["data.size=32", "data.resize=32", f"data.path={pictures}", "train.batch=1", "students.vgg.knobs={}"]
    words += ["students.vgg.model=torchvision:resnet18"]
    done = zoo_command(
        "train", "imagefolder", *(w for one in words for w in ("--set", one)), "--only", "vgg", "-o", "run"
    )
    assert done.returncode == 2
    assert "train.batch = 1" in one_line(done.stderr)
    assert not (tmp_path / "run").exists()
