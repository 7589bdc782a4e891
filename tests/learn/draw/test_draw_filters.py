"""Filter pictures: they excite their channels, are the same for a seed, and leave the network alone."""

from __future__ import annotations

import copy

import pytest
import torch
from PIL import Image

from tests.support.command import one_line
from zoo import models
from zoo.errors import InputError
from zoo.learn.draw.maximise import activations, maximise
from zoo.models.normalisation import Normalised

LAYER = "features.5"  # a BatchNorm, with a ReLU behind it that works in place


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    bare = models.build("vgg", classes=3, size=16, depth=8, width=0.125)
    network = Normalised(bare, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    network(torch.randint(0, 256, (64, 16, 16, 3), dtype=torch.uint8))  # the norms have seen something
    return network.eval()


def excitement(network, pictures, channels):
    return activations(network, LAYER, pictures)[range(len(channels)), channels]


def test_pictures_excite_their_channels_more_than_the_noise_they_start_from(network):
    channels = range(12)
    start, end = (maximise(network, LAYER, channels, size=16, steps=steps) for steps in (0, 40))
    assert (end.shape, end.dtype) == ((12, 16, 16, 3), torch.uint8)
    gained = excitement(network, end, channels) > excitement(network, start, channels)
    assert gained.sum() >= 10


def test_a_picture_is_for_its_own_channel(network):
    pictures = maximise(network, LAYER, [0, 1, 2, 3], size=16, steps=40)
    assert activations(network, LAYER, pictures)[:, :4].argmax(dim=0).tolist() == [0, 1, 2, 3]


def test_activations_are_means_of_what_the_layer_gives(network):
    pictures = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        given = network.network.features[:6](network.normalise(pictures))
        logits = network(pictures)
    assert torch.allclose(activations(network, LAYER, pictures), given.mean((2, 3)))
    assert torch.allclose(activations(network, "classifier", pictures), logits)


def test_the_same_seed_draws_the_same_picture(network):
    first, again, other = (maximise(network, LAYER, [2], size=16, steps=10, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_network_stays_as_it_is(network):
    training = copy.deepcopy(network).train()
    training.network.features[1].eval()  # a frozen layer in a network that trains
    before = copy.deepcopy(training.state_dict())
    modes = [layer.training for layer in training.modules()]
    maximise(training, LAYER, [0], size=16, steps=3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in training.state_dict().items())
    assert [layer.training for layer in training.modules()] == modes
    assert all(weight.requires_grad and weight.grad is None for weight in training.parameters())
    assert not any(layer._forward_hooks for layer in training.modules())


@pytest.mark.parametrize(
    ("layer", "channel", "said"),
    [
        ("feature.5", 0, "no layer 'feature.5'; did you mean 'features.5'?"),
        ("?", 0, "no layer '?'; it has features, features.0"),
        (LAYER, 99, "no channel 99: it has 16, from 0 on"),
    ],
)
def test_what_is_not_there_is_named(network, layer, channel, said):
    with pytest.raises(InputError) as error:
        maximise(network, layer, [channel], size=16, steps=1)
    assert said in str(error.value)


def test_the_command_draws_a_tile_for_each_filter(run, tmp_path, zoo_command):
    words = ("draw", "filters", run.folder / "vgg", "--layer", "features.0", "--steps", "4")
    heights = []
    for filters in (2, 64):  # the layer has 8
        done = zoo_command(*words, "--filters", filters, "-o", "filters.png")
        assert (done.returncode, done.stdout) == (0, "filters.png\n"), done.stderr
        with Image.open(tmp_path / "filters.png") as drawn:
            heights.append(drawn.height)
    assert 1.6 < heights[1] / heights[0] < 2  # a second row of four


def test_an_unknown_layer_is_one_line(run, zoo_command):
    done = zoo_command("draw", "filters", run.folder / "vgg", "--layer", "feature.0", "-o", "filters.png")
    assert done.returncode == 2
    assert "did you mean 'features.0'?" in one_line(done.stderr)
