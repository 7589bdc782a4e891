"""Learning from what was learned before: frozen layers, the head first, features that are computed once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.support.training import network_of
from zoo.data.views import CropFlip
from zoo.errors import InputError
from zoo.learn.recipe.schema import Network, Training, load_recipe
from zoo.learn.run.run import Run
from zoo.learn.train.batches import Batches
from zoo.learn.train.cached_features import FeatureBatches, FrozenBody, stored_features
from zoo.learn.train.schedule import WeightSchedule, frozen_until, head_of
from zoo.models import checkpoint
from zoo.models.construct import build
from zoo.tasks.learning.registry import TASKS


def resnet():
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.resnet18(num_classes=3)


def test_the_head_is_the_part_behind_the_features():
    import timm
    import torchvision

    assert head_of(resnet()) is not None
    network = resnet()
    assert head_of(network) is network.fc
    vgg = torchvision.models.vgg11(num_classes=2)
    assert head_of(vgg) is vgg.classifier
    mobile = timm.create_model("test_resnet", num_classes=3)
    assert mobile.get_classifier() in list(head_of(mobile).modules())


def vgg(weights: str, **knobs) -> torch.nn.Module:
    spec = Network(model="vgg", knobs={"depth": 8, "width": 0.25, **knobs}, weights=weights)
    return build(spec, classes=7, size=32, head_may_be_fresh=True)


def test_a_head_of_another_kind_starts_afresh_on_a_body_that_fits(tmp_path, capsys):
    weights = str(tmp_path / "vgg.safetensors")
    pretrained = build(Network(model="vgg", knobs={"depth": 8, "width": 0.25}), classes=3, size=32)
    save_file({name: tensor.contiguous() for name, tensor in pretrained.state_dict().items()}, weights)
    tagger = vgg(weights, head="tags")
    assert "its head 'classifier' is another one" in capsys.readouterr().err
    body = {name: tensor for name, tensor in tagger.state_dict().items() if name.startswith("features.")}
    assert body
    assert all(torch.equal(tensor, pretrained.state_dict()[name]) for name, tensor in body.items())
    with pytest.raises(InputError, match=r"features\.\d+\.\w+ is \[.* there and"):
        vgg(weights, head="tags", width=0.5)
    with pytest.raises(InputError, match="there and absent here"):
        vgg(weights, norm="none")


def test_freezing_keeps_a_layer_and_all_before_it_as_they_are():
    network = resnet()
    frozen = frozen_until(network, "layer1")
    assert network.conv1 in frozen
    assert network.layer1[1].bn2 in frozen
    assert network.layer2[0].conv1 not in frozen
    schedule = WeightSchedule(network, Training(epochs=1, freeze="layer1"))
    schedule.begin_epoch(0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = schedule.optimizer()
    network(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    changed = {
        name.split(".")[0] for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"layer2", "layer3", "layer4", "fc"}
    with pytest.raises(InputError, match="did you mean 'layer1'"):
        frozen_until(network, "layer_1")


def test_the_head_learns_first_and_the_body_slower():
    network = resnet()
    schedule = WeightSchedule(network, Training(epochs=4, head_epochs=2, body_lr=0.1, lr=0.5))
    schedule.begin_epoch(1)
    assert {name for name, weight in network.named_parameters() if weight.requires_grad} == {"fc.weight", "fc.bias"}
    assert not network.layer1[0].bn1.training
    schedule.begin_epoch(2)
    assert all(weight.requires_grad for weight in network.parameters())
    assert network.layer1[0].bn1.training
    rates = {id(weight): group["lr"] for group in schedule.optimizer().param_groups for weight in group["params"]}
    assert rates[id(network.fc.weight)] == 0.5
    assert rates[id(network.conv1.weight)] == pytest.approx(0.05)


def test_norms_and_biases_do_not_decay():
    network = resnet()
    groups = WeightSchedule(network, Training(epochs=1, weight_decay=0.1)).optimizer().param_groups
    decays = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
    assert decays[id(network.conv1.weight)] == 0.1
    assert decays[id(network.bn1.weight)] == 0
    assert decays[id(network.fc.bias)] == 0
    everything = WeightSchedule(network, Training(epochs=1, weight_decay=0.1, decay_all=True)).optimizer().param_groups
    assert {group["weight_decay"] for group in everything} == {0.1}


def transfer(recipe_file, run, folder, *more):
    """A new student whose body is that of the run's teacher."""
    weights = run.folder / "teacher" / checkpoint.FILE
    student = f'students=[{{name="s", model="vgg", knobs={{depth=8, width=0.25}}, weights="{weights}"}}]'
    settings = [student, "train.epochs=3", "train.head_epochs=3", "data.pad=0", "data.labelled=1.0", *more]
    return Run(load_recipe(str(recipe_file), settings), folder / "r")


def test_stored_features_teach_what_computed_ones_teach(recipe_file, run, tmp_path):
    computed = transfer(recipe_file, run, tmp_path / "a")
    stored = transfer(recipe_file, run, tmp_path / "b", "train.cache_features=true")
    states = [checkpoint.load(one.control(one.recipe.students[0]))[0].state_dict() for one in (computed, stored)]
    body = checkpoint.load(run.folder / "teacher")[0].state_dict()
    for name in states[0]:
        if "classifier" in name:
            torch.testing.assert_close(states[0][name], states[1][name], rtol=2e-2, atol=2e-3)  # stored in fp16
            assert not torch.equal(states[1][name], body[name])
        else:
            assert torch.equal(states[0][name], body[name])
            assert torch.equal(states[1][name], body[name])
    metrics = json.loads((stored.folder / "s-control" / "metrics.json").read_text())
    assert metrics["features_seconds"] > 0
    assert len(list((tmp_path / "b" / "features").iterdir())) == 1


def test_features_are_for_a_head_alone(recipe_file, run, tmp_path):
    with pytest.raises(InputError, match="head_epochs to epochs"):
        transfer(recipe_file, run, tmp_path, "train.cache_features=true", "train.epochs=5")
    stored = transfer(recipe_file, run, tmp_path, "train.cache_features=true")
    with pytest.raises(InputError, match="not from a teacher"):
        stored.distilled(stored.recipe.students[0])


def points_of(images):
    """The same images with two random points on each as targets: the views move them."""
    points = np.random.default_rng(0).uniform(-1, 1, (len(images), 4)).astype(np.float32)
    return replace(images, targets=points), TASKS["keypoints"](["left", "right"], 16)


@pytest.mark.parametrize("task", ["classification", "keypoints"])
def test_no_view_is_rendered_whose_features_are_stored(run, tmp_path, monkeypatch, task):
    """The same batches as those with pixels: their features, and targets that are moved as the pixels would be."""
    images, problem = (run.splits.train, run.task) if task == "classification" else points_of(run.splits.train)
    body, views = FrozenBody(network_of(run, "teacher"), 16), CropFlip(1, flip=True)
    how = {"batch": 8, "steps": 4, "seed": 1}
    batches = FeatureBatches(images, views, problem, **how)
    batches.store, _ = stored_features(body, images, views, run.recipe.data.preprocessing, tmp_path)
    rendered = list(Batches(images, views, problem, **how))

    def never(*_):
        raise AssertionError("a view was rendered")

    monkeypatch.setattr(CropFlip, "apply", never)
    for found, expected in zip(batches, rendered, strict=True):
        features = torch.from_numpy(body.features(expected.images))
        torch.testing.assert_close(found.images, features, rtol=1e-3, atol=1e-3)  # stored in fp16
        for mine, theirs in zip(found[1:5], expected[1:5], strict=True):
            assert torch.equal(mine, theirs)
    assert task == "classification" or not np.array_equal(found.targets, images.targets[found.indices])
