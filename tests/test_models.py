"""`zoo.models`: the published shapes, and torchvision's weights in them."""

from __future__ import annotations

import pytest
import torch
import torchvision

from zoo import models
from zoo.errors import InputError
from zoo.models.cost import cost
from zoo.models.vgg import pools_for


def meta(family: str, classes: int, size: int, **knobs):
    with torch.device("meta"):
        return models.build(family, classes=classes, size=size, **knobs)


@pytest.mark.parametrize(
    ("family", "classes", "size", "knobs", "parameters", "macs"),
    [
        ("mobilenet_v2", 1000, 224, {}, 3_504_872, 300_774_272),
        ("mobilenet_v2", 5, 224, {"width": 0.5}, 694_085, 95_858_240),
        ("vgg", 1000, 224, {"depth": 16, "head": "classic"}, 138_365_992, 15_470_264_320),
        ("vgg", 100, 32, {"depth": 13}, 9_462_180, 284_936_192),  # 9.462 M and 284.9 M in RepDistiller's zoo
        ("vgg", 100, 32, {"depth": 8}, 3_965_028, 96_192_512),  # 3.965 M and 96.2 M there
    ],
)
def test_published_sizes(family, classes, size, knobs, parameters, macs):
    spent = cost(meta(family, classes, size, **knobs), size, size)
    assert (spent.parameters, spent.macs) == (parameters, macs)


def test_keras_counts_batchnorm_statistics_too():
    spent = cost(meta("mobilenet_v2", 5, 224, width=0.5), 224, 224)
    assert spent.parameters + spent.buffers == 712_629


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("mobilenet_v2", {"width": 0.5}), lambda: torchvision.models.mobilenet_v2(width_mult=0.5, num_classes=7)),
        (("vgg", {"depth": 11, "head": "classic"}), lambda: torchvision.models.vgg11_bn(num_classes=7)),
    ],
)
def test_torchvision_weights_give_torchvision_logits(ours, theirs):
    torch.manual_seed(0)
    reference, (family, knobs) = theirs().eval(), ours
    network = models.build(family, classes=7, size=224, **knobs).eval()
    network.load_state_dict(reference.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(network(images), reference(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [16, 24, 32, 64, 96, 128])
@pytest.mark.parametrize("family", list(models.STUDENTS))
def test_every_student_fits_every_size(family, size):
    network = models.build(family, classes=4, size=size, width=0.25).eval()
    assert network(torch.randn(2, 3, size, size)).shape == (2, 4)


def test_pools_leave_at_least_three_pixels():
    assert [pools_for(size) for size in (8, 16, 24, 32, 64, 224)] == [1, 2, 3, 3, 4, 5]


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'mobilenet_v2'"):
        models.build("mobilenet_v3x", classes=2, size=32)
    with pytest.raises(InputError, match="did you mean 'width'"):
        models.build("vgg", classes=2, size=32, widht=0.5)
    with pytest.raises(InputError, match="no depth 12"):
        models.build("vgg", classes=2, size=32, depth=12)
