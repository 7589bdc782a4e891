"""`zoo.models`: the published shapes, and torchvision's and timm's weights in them."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from zoo import models
from zoo.errors import InputError
from zoo.models.cost import cost
from zoo.models.families.layers import groups_for, halvings_for, strides_for
from zoo.models.knobs import Activation, Norm
from zoo.models.registry import knobs_of

FAMILIES = list(models.STUDENTS)


def meta(family: str, classes: int, size: int, **knobs) -> nn.Module:
    with torch.device("meta"):
        return models.build(family, classes=classes, size=size, **knobs)


def trained(network: nn.Module) -> nn.Module:
    """The network in eval mode, with random BatchNorm scales, shifts and statistics, as if it had been trained."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.2, 0.2),
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.5, 2.0),
            ):
                nn.init.uniform_(tensor, low, high)
    return network.eval()


@torch.no_grad()
def same_logits(network: nn.Module, reference: nn.Module, size: int = 64, tolerance: float = 1e-5) -> None:
    """Equal answers, to a share of the largest one."""
    images = torch.randn(2, 3, size, size)
    expected = reference(images)
    largest = float(expected.abs().max())
    torch.testing.assert_close(network(images), expected, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize(
    ("family", "classes", "size", "knobs", "parameters", "macs"),
    [
        ("mobilenet_v1", 1000, 224, {}, 4_231_976, 568_740_352),  # 4.2 M and 569 M in the paper
        ("mobilenet_v1", 1000, 224, {"width": 0.75}, 2_585_560, 325_400_448),  # 2.6 M and 325 M
        ("mobilenet_v1", 1000, 224, {"depth": 8}, 2_887_976, 307_323_392),  # "shallow": 2.9 M and 307 M
        ("mobilenet_v2", 1000, 224, {}, 3_504_872, 300_774_272),
        ("mobilenet_v2", 5, 224, {"width": 0.5}, 694_085, 95_858_240),
        ("mobilenet_v3", 1000, 224, {"variant": "large"}, 5_483_032, 216_589_760),
        ("mobilenet_v3", 1000, 224, {"variant": "small"}, 2_542_856, 56_510_400),
        ("vgg", 1000, 224, {"depth": 16, "head": "classic"}, 138_365_992, 15_470_264_320),
        ("vgg", 5, 224, {"depth": 16, "head": "classic", "norm": "none"}, 134_281_029, 15_466_188_800),
        ("vgg", 100, 32, {"depth": 13}, 9_462_180, 284_936_192),  # 9.462 M and 284.9 M in RepDistiller's zoo
        ("vgg", 100, 32, {"depth": 8}, 3_965_028, 96_192_512),  # 3.965 M and 96.2 M there
        ("repvgg", 1000, 224, {"variant": "a0"}, 9_108_968, 1_512_581_120),  # 9.11 M trained, 1.52 G
        ("repvgg", 1000, 224, {"variant": "b0"}, 15_817_960, 3_397_191_680),  # 15.82 M
        ("mobileone", 1000, 224, {"variant": "s0"}, 5_293_272, 1_051_935_232),  # 5.3 M trained
        ("mobileone", 1000, 224, {"variant": "s4"}, 14_951_248, 2_986_802_432),
    ],
)
def test_published_sizes(family, classes, size, knobs, parameters, macs):
    spent = cost(meta(family, classes, size, **knobs), size, size)
    assert (spent.parameters, spent.macs) == (parameters, macs)


def test_keras_counts_batchnorm_statistics_too():
    spent = cost(meta("mobilenet_v2", 5, 224, width=0.5), 224, 224)
    assert spent.parameters + spent.buffers == 712_629


@pytest.mark.parametrize(
    ("family", "knobs", "theirs"),
    [
        ("mobilenet_v2", {"width": 0.75}, lambda: torchvision.models.mobilenet_v2(width_mult=0.75)),
        ("mobilenet_v3", {"variant": "large", "width": 0.75}, lambda: library_v3("large", 0.75)),
        ("mobilenet_v3", {"variant": "small", "width": 0.5}, lambda: library_v3("small", 0.5)),
        ("vgg", {"depth": 11, "head": "classic", "norm": "none"}, torchvision.models.vgg11),
        ("vgg", {"depth": 13, "head": "classic"}, torchvision.models.vgg13_bn),
        ("vgg", {"depth": 16, "head": "classic"}, torchvision.models.vgg16_bn),
        ("vgg", {"depth": 19, "head": "classic", "norm": "none"}, torchvision.models.vgg19),
        ("repvgg", {"variant": "a1"}, lambda: timm.create_model("repvgg_a1")),
        ("repvgg", {"variant": "a2"}, lambda: timm.create_model("repvgg_a2")),
        ("mobileone", {"variant": "s1"}, lambda: timm.create_model("mobileone_s1")),
        ("mobileone", {"variant": "s2"}, lambda: timm.create_model("mobileone_s2")),
        ("mobileone", {"variant": "s3"}, lambda: timm.create_model("mobileone_s3")),
    ],
)
def test_the_libraries_build_the_same_tensors(family, knobs, theirs):
    with torch.device("meta"):
        reference = theirs().state_dict()
    ours = meta(family, 1000, 224, **knobs).state_dict()
    assert [tensor.shape for tensor in ours.values()] == [tensor.shape for tensor in reference.values()]
    if family not in {"repvgg", "mobileone"}:  # timm's names are its own
        assert list(ours) == list(reference)


def library_v3(variant: str, width: float, classes: int = 1000) -> nn.Module:
    return torchvision.models.get_model(f"mobilenet_v3_{variant}", width_mult=width, num_classes=classes)


@pytest.mark.parametrize(
    ("family", "knobs", "theirs"),
    [
        ("mobilenet_v2", {"width": 0.5}, lambda: torchvision.models.mobilenet_v2(width_mult=0.5, num_classes=7)),
        ("mobilenet_v3", {"variant": "large"}, lambda: library_v3("large", 1.0, 7)),
        ("mobilenet_v3", {"variant": "small"}, lambda: library_v3("small", 1.0, 7)),
        ("vgg", {"depth": 11, "head": "classic"}, lambda: torchvision.models.vgg11_bn(num_classes=7)),
        ("vgg", {"depth": 13, "head": "classic", "norm": "none"}, lambda: torchvision.models.vgg13(num_classes=7)),
    ],
)
def test_torchvision_weights_give_torchvision_logits(family, knobs, theirs):
    torch.manual_seed(0)
    reference = trained(theirs())
    network = models.build(family, classes=7, size=224, **knobs).eval()
    network.load_state_dict(reference.state_dict())
    same_logits(network, reference)


@pytest.mark.parametrize(
    ("family", "knobs", "theirs"),
    [
        ("mobilenet_v1", {"activation": "relu6"}, "mobilenetv1_100"),
        ("repvgg", {"variant": "a0"}, "repvgg_a0"),
        ("mobileone", {"variant": "s0"}, "mobileone_s0"),
        ("mobileone", {"variant": "s4"}, "mobileone_s4"),
    ],
)
def test_timm_weights_give_timm_logits(family, knobs, theirs):
    """torchvision lacks these; timm's names differ, but not its order."""
    torch.manual_seed(0)
    reference = trained(timm.create_model(theirs, num_classes=7))
    network = models.build(family, classes=7, size=224, **knobs).eval()
    state = zip(network.state_dict(), reference.state_dict().values(), strict=True)
    network.load_state_dict(dict(state))
    same_logits(network, reference)


@pytest.mark.parametrize("size", [16, 24, 32, 48, 64, 96, 128])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_student_fits_every_size(family, size):
    network = models.build(family, classes=4, size=size, width=0.25).eval()
    images = torch.randn(2, 3, size, size)
    assert network(images).shape == (2, 4)
    assert min(network.features(images).shape[-2:]) >= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_at_224_the_last_map_has_7_pixels_as_published(family):
    network = meta(family, 1000, 224)
    assert network.features(torch.empty(1, 3, 224, 224, device="meta")).shape[-2:] == (7, 7)


def test_small_images_are_halved_less():
    assert [halvings_for(size) for size in (8, 16, 24, 32, 64, 224)] == [1, 2, 3, 3, 4, 5]
    assert strides_for(224) == {"stem_stride": 2, "halvings": 4}
    assert strides_for(64) == {"stem_stride": 2, "halvings": 3}
    assert strides_for(32) == {"stem_stride": 1, "halvings": 3}


@pytest.mark.parametrize(
    ("family", "norm"),
    [(family, norm) for family in FAMILIES if "norm" in knobs_of(family) for norm in Norm.__args__] + [("vgg", "none")],
)
def test_every_norm_trains(family, norm):
    network = models.build(family, classes=4, size=32, width=0.25, norm=norm)
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert any(isinstance(m, nn.BatchNorm2d) for m in network.modules()) == (norm == "batch")


@pytest.mark.parametrize("norm", ["layer", "instance", "group", "none"])
def test_without_batchnorm_an_image_is_trained_alone(norm):
    """What data-parallel training with small batches needs: the answer does not depend on the rest of the batch."""
    network = models.build("vgg", classes=4, size=32, depth=8, width=0.25, norm=norm).train()
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(network(images)[:1], network(images[:1]))


@pytest.mark.parametrize("activation", Activation.__args__)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_activation_is_used_everywhere(family, activation):
    network = models.build(family, classes=4, size=32, width=0.25, activation=activation)
    used = {type(module) for module in network.modules() if type(module).__module__ == nn.ReLU.__module__}
    wanted = {"relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "LeakyReLU", "silu": "SiLU", "gelu": "GELU"}
    gates = {nn.ReLU, nn.Hardsigmoid} if family == "mobilenet_v3" else set()
    assert used - gates == {getattr(nn, wanted.get(activation, "Hardswish"))} - gates
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_stands_before_the_last_layer(family):
    network = models.build(family, classes=4, size=32, width=0.25, dropout=0.75).eval()
    rates = [module.p for module in network.classifier if isinstance(module, nn.Dropout)]
    assert rates == [0.75]


def test_the_tagging_head_normalises_what_it_pools():
    network = models.build("vgg", classes=5000, size=224, width=0.125, norm="none", head="tags")
    assert [type(layer) for layer in network.classifier] == [nn.BatchNorm1d, nn.Dropout, nn.Linear]
    assert network.classifier[1].p == 0.35
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, 5000)


def test_groups_divide_the_channels():
    assert [groups_for(channels) for channels in (4, 8, 16, 24, 40, 100, 256, 512, 1280)] == [
        1,
        1,
        2,
        3,
        5,
        10,
        32,
        32,
        32,
    ]


@pytest.mark.parametrize(
    ("family", "knobs", "complaint"),
    [
        ("mobilenet_v3x", {}, "did you mean 'mobilenet_v3'"),
        ("vgg", {"widht": 0.5}, "vgg has no knob 'widht'.*did you mean 'width'"),
        ("vgg", {"depth": 12}, "vgg: depth should be 8, 11, 13, 16 or 19, not 12"),
        ("vgg", {"width": 0}, "vgg: width should be greater than 0, not 0"),
        ("vgg", {"pools": 6}, "pools should be less than or equal to 5"),
        ("mobilenet_v2", {"width": "half"}, "width should be a valid number, not 'half'"),
        ("mobilenet_v2", {"stem_stride": 3}, "stem_stride should be 1 or 2, not 3"),
        ("mobilenet_v2", {"dropout": 1.0}, "dropout should be less than 1, not 1.0"),
        ("mobilenet_v2", {"norm": "none"}, "norm should be 'batch', 'layer', 'instance' or 'group', not 'none'"),
        ("mobilenet_v3", {"variant": "medium"}, "variant should be 'small' or 'large', not 'medium'"),
        ("repvgg", {"norm": "group"}, "repvgg has no knob 'norm'"),
        ("mobileone", {"branches": 0}, "branches should be greater than or equal to 1, not 0"),
        ("mobileone", {"activation": "rlu"}, "activation should be 'relu', .* or 'gelu', not 'rlu'"),
    ],
)
def test_a_wrong_knob_is_one_clear_line(family, knobs, complaint):
    with pytest.raises(InputError, match=complaint):
        models.build(family, classes=2, size=32, **knobs)
