"""What a network costs layer by layer, and `zoo list --cost`, which prints it."""

from __future__ import annotations

import json

import pytest
import timm
import torch

from tests.models.test_models import meta
from zoo.errors import InputError
from zoo.learn.list_cli import list_
from zoo.models.cost import cost, layers


@pytest.mark.parametrize(
    "network",
    [
        lambda: meta("mobilenet_v3", 10, 64),
        lambda: meta("mobileone", 10, 64),
        lambda: meta("vgg", 10, 64, norm="group", head="tags"),
        lambda: timm.create_model("convnext_atto", device="meta"),
        lambda: timm.create_model("vit_tiny_patch16_224", img_size=64, device="meta"),
    ],
)
def test_the_layers_add_up(network):
    network = network()
    total, rows = cost(network, 64, 64), layers(network, 64, 64)
    assert sum(row.parameters for row in rows) == total.parameters
    assert sum(row.macs for row in rows) == total.macs
    assert min(row.macs for row in rows) >= 0


def test_a_row_says_what_the_layer_is():
    rows = {row.name: row for row in layers(meta("mobilenet_v2", 1000, 224), 224, 224)}
    assert len(rows) == 52 + 52 + 1  # convolutions, their norms, the classifier
    stem, depthwise, norm = rows["features.0.0"], rows["features.2.conv.1.0"], rows["features.2.conv.1.1"]
    assert (stem.kind, stem.kernel, stem.inputs, stem.outputs) == ("conv", (3, 3), 3, 32)
    assert (stem.height, stem.width, stem.parameters, stem.macs) == (112, 112, 864, 864 * 112 * 112)
    assert (depthwise.kind, depthwise.inputs, depthwise.outputs) == ("depthwise", 96, 96)
    assert (depthwise.height, depthwise.macs) == (56, 9 * 96 * 56 * 56)
    assert (norm.kind, norm.kernel, norm.parameters, norm.macs) == ("batchnorm2d", None, 192, 0)
    dense = rows["classifier.1"]
    assert (dense.kind, dense.inputs, dense.outputs, dense.parameters) == ("linear", 1280, 1000, 1_281_000)


@pytest.mark.parametrize(("family", "pairs"), [("mobilenet_v1", 13), ("mobilenet_v2", 17), ("mobilenet_v3", 15)])
def test_a_separable_pair_costs_its_share_of_a_full_convolution(family, pairs):
    """Also in MobileNetV3, where squeeze-excite and kernels of 5 x 5 stand between and before."""
    network = meta(family, 1000, 224)
    kernels = {name: module.kernel_size[0] for name, module in network.named_modules() if hasattr(module, "groups")}
    rows = layers(network, 224, 224)
    found = 0
    for index, row in enumerate(rows):
        if row.ratio is not None:
            side = next(kernels[before.name] for before in reversed(rows[:index]) if before.kind == "depthwise")
            assert row.kind == "pointwise"
            assert row.ratio == pytest.approx((side**2 + row.outputs) / (side**2 * row.outputs))
            found += 1
    assert found == pairs


def test_counting_leaves_the_network_as_it_was():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).train()
    layers(network, 8, 8)
    assert network.training
    assert not network[0].weight.is_meta
    assert not network[0]._forward_hooks
    assert int(network[1].num_batches_tracked) == 0


def test_cost_prints_a_table_with_totals(zoo_command):
    shown = zoo_command("list", "--cost", "mobilenet_v1", "--set", "width=0.5", "--size", "32", "--classes", "5")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0].split()[-4:] == ["of", "a", "full", "convolution"]
    assert "17.36 %" not in shown.stdout  # 16 channels
    assert next(line for line in lines if " features.1.1.0 " in line).split()[-2:] == ["14.24", "%"]
    (total,) = [line.split() for line in lines if line.startswith(" total")]
    spent = cost(meta("mobilenet_v1", 5, 32, width=0.5), 32, 32)
    assert total == ["total", f"{spent.parameters:,}", f"{spent.macs:,}"]


def test_cost_as_data_of_a_folded_network_of_a_library(capsys):
    list_(cost="timm:repvgg_a0", folded=True, classes=10, as_json=True)
    known = json.loads(capsys.readouterr().out)
    assert (known["model"], known["size"], known["classes"], known["folded"]) == ("timm:repvgg_a0", 224, 10, True)
    assert known["parameters"] == sum(row["parameters"] for row in known["layers"]) == 8_309_384 - 990 * 1281
    assert {row["kind"] for row in known["layers"]} == {"conv", "linear"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"cost": "mobilenet_v4"}, "did you mean 'mobilenet_v3'"),
        ({"cost": "vgg", "set_": ["depth"]}, "--set takes knob=value, not 'depth'"),
        ({"cost": "vgg", "set_": ["norm=btach"]}, "vgg: norm should be 'batch'"),
        ({"cost": "torchvision:vit_b_16", "size": 32}, "cannot take 32 x 32 pixels"),
        ({"set_": ["width=0.5"]}, "go with --cost"),
    ],
)
def test_mistakes_are_named(options, complaint):
    with pytest.raises(InputError, match=complaint):
        list_(**options)
