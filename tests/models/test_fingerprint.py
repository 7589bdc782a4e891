"""A network's fingerprint: the same for equal networks, another one for each thing that changes what it says."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from zoo import models
from zoo.models.fingerprint import fingerprint
from zoo.models.normalisation import Normalised

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Normalised(models.build("mobilenet_v2", classes=3, size=32, width=0.25), MEAN, STD)


def test_equal_networks_have_equal_fingerprints_wherever_they_are_laid_out(network):
    other = copy.deepcopy(network).to(memory_format=torch.channels_last).train()
    assert fingerprint(other.eval()) == fingerprint(network.train())


@pytest.mark.parametrize(("mean", "std"), [((0.5, 0.4, 0.2), STD), (MEAN, (0.2, 0.2, 0.3))])
def test_another_normalisation_is_another_network(network, mean, std):
    assert fingerprint(Normalised(network.network, mean, std)) != fingerprint(network)


def test_another_weight_statistic_or_setting_is_another_network(network):
    weight, statistic, setting = (copy.deepcopy(network) for _ in range(3))
    with torch.no_grad():
        next(weight.parameters()).view(-1)[0] += 1
        next(part for part in statistic.modules() if isinstance(part, nn.BatchNorm2d)).running_mean[0] += 1
    next(part for part in setting.modules() if isinstance(part, nn.Conv2d)).stride = (4, 4)
    assert len({fingerprint(each) for each in (network, weight, statistic, setting)}) == 4


def test_another_activation_is_another_network(network):
    torch.manual_seed(0)
    other = models.build("mobilenet_v2", classes=3, size=32, width=0.25, activation="relu")
    assert fingerprint(Normalised(other, MEAN, STD)) != fingerprint(network)


def test_what_is_said_about_it_counts(network):
    assert fingerprint(network, "size=32") != fingerprint(network, "size=64")


def test_a_head_that_is_left_out_does_not_count_and_the_normalisation_of_its_body_does(network):
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.network.classifier[1].weight += 1
    without = fingerprint(network, without=network.network.classifier)
    assert fingerprint(other, without=other.network.classifier) == without
    assert fingerprint(other) != fingerprint(network)
    normalised = Normalised(network.network, MEAN, (0.3, 0.3, 0.3))
    assert fingerprint(normalised, without=network.network.classifier) != without
