"""Branches trained side by side run as one convolution, and the exported graphs hold that one."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from torch import nn

from export.packing.fold import folded, folded_with_signature
from export.packing.half import half
from export.packing.onnx import to_onnx
from tests.models.test_models import FAMILIES, same_logits, trained
from zoo import models
from zoo.graphs.model import count, to_bytes
from zoo.models.cost import cost
from zoo.models.families.reparameterize import Branches, reparameterize
from zoo.models.normalisation import Normalised

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@pytest.mark.parametrize(
    ("family", "knobs"),
    [
        ("repvgg", {"variant": "a0", "width": 0.5}),
        ("repvgg", {"variant": "b0", "width": 0.5, "activation": "silu"}),
        ("mobileone", {"variant": "s0"}),
        ("mobileone", {"variant": "s4", "width": 0.25, "branches": 3}),
        ("vgg", {"depth": 8, "width": 0.25, "norm": "none", "head": "tags"}),
    ],
)
def test_the_folded_network_answers_what_the_branched_one_does(family, knobs):
    torch.manual_seed(0)
    network = trained(models.build(family, classes=7, size=64, **knobs))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    plain = reparameterize(network.train())
    same_logits(plain, network.eval(), tolerance=1e-4)
    assert not any(isinstance(module, (Branches, *NORMS)) for module in plain.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "stride", "groups"),
    [(8, 8, 3, 1, 1), (8, 8, 3, 1, 8), (8, 16, 3, 2, 1), (8, 8, 3, 2, 8), (8, 8, 1, 1, 1), (8, 8, 5, 1, 2)],
)
def test_any_shape_of_block_folds(inputs, outputs, kernel, stride, groups):
    block = trained(Branches(inputs, outputs, kernel, stride, groups, convs=2))
    images = torch.randn(2, inputs, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(block.fused()(images), block(images), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(reparameterize(block)(images), block(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "knobs", "parameters", "macs"),
    [
        ("repvgg", {"variant": "a0"}, 8_309_384, 1_361_451_008),  # 8.30 M and 1.4 G in the paper
        ("repvgg", {"variant": "a1"}, 12_789_864, 2_363_967_488),  # 12.78 M, 2.4 G
        ("repvgg", {"variant": "a2"}, 25_499_944, 5_116_951_552),  # 25.49 M, 5.1 G
        ("repvgg", {"variant": "b0"}, 14_339_048, 3_057_600_512),  # 14.33 M, 3.1 G
        ("mobileone", {"variant": "s0"}, 2_078_504, 275_110_400),  # 2.1 M and 275 M in the paper
        ("mobileone", {"variant": "s1"}, 4_764_840, 825_057_024),  # 4.8 M, 825 M
        ("mobileone", {"variant": "s2"}, 7_808_168, 1_298_426_496),  # 7.8 M, 1299 M
        ("mobileone", {"variant": "s3"}, 10_078_312, 1_895_790_592),  # 10.1 M, 1896 M
        ("mobileone", {"variant": "s4"}, 14_838_352, 2_979_269_760),  # 14.8 M, 2978 M
    ],
)
def test_published_folded_sizes(family, knobs, parameters, macs):
    with torch.device("meta"):
        network = models.build(family, classes=1000, size=224, **knobs)
    spent = cost(reparameterize(network), 224, 224)
    assert (spent.parameters, spent.buffers, spent.macs) == (parameters, 0, macs)


@pytest.mark.parametrize("name", ["mobileone_s0", "repvit_m0_9"])
def test_timms_branches_fold_too(name):
    network = trained(timm.create_model(name, num_classes=7))
    plain = reparameterize(network)
    same_logits(plain, network, tolerance=1e-4)
    assert cost(plain, 64, 64).parameters < cost(network, 64, 64).parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_but_convolutions_is_left_to_export(family):
    network = trained(models.build(family, classes=7, size=32, width=0.25))
    plain = folded(network)
    same_logits(plain, network, size=32, tolerance=1e-4)
    assert not any(isinstance(module, (Branches, *NORMS)) for module in plain.modules())


@pytest.mark.parametrize(
    ("family", "knobs", "precision", "convolutions"),
    [
        ("mobilenet_v3", {"variant": "small"}, "fp32", 52),  # first and last, 11 blocks of 3 less one, 9 pairs in gates
        ("mobilenet_v3", {"variant": "small"}, "fp16", 52),
        ("repvgg", {}, "fp32", 22),
        ("mobileone", {"branches": 2}, "fp32", 43),
    ],
)
def test_the_graph_answers_what_the_network_does(family, knobs, precision, convolutions):
    network = trained(models.build(family, classes=7, size=32, width=0.25, **knobs))
    around = Normalised(network, (0.5,) * 3, (0.25,) * 3).eval()
    plain = folded_with_signature(around)
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    graph = to_onnx(half(plain, images).network if precision == "fp16" else plain, 32, 32, name=family)
    assert count(graph, "Conv") == convolutions
    assert count(graph, "BatchNormalization") == 0
    session = onnxruntime.InferenceSession(to_bytes(graph), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"image": images})
    with torch.no_grad():
        expected = around(torch.from_numpy(images)).numpy()
    tolerance = {"fp32": 1e-4, "fp16": 2e-2}[precision] * np.abs(expected).max()
    np.testing.assert_allclose(answer, expected, rtol=0, atol=tolerance)
