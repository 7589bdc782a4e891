"""Hints: a student's layers learn from a teacher's, and neither network notices."""

from __future__ import annotations

import copy

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torchvision.models import resnet18

from zoo import models
from zoo.errors import InputError
from zoo.learn.hints import Hint
from zoo.learn.hints.pairs import Hints

EVERY_LOSS = (
    Hint(student="features.10", teacher="layer2", loss="fitnet", weight=100),
    Hint(student="features.3", teacher="layer1", loss="attention", weight=1000),
    Hint(student="features.14", teacher="layer3", loss="relational", weight=1),
    Hint(student="features", teacher="avgpool", loss="pooled", weight=1),
)


@pytest.fixture
def student():
    torch.manual_seed(0)
    return models.build("vgg", classes=10, size=32, depth=8, width=0.125)


@pytest.fixture
def teacher():
    torch.manual_seed(1)
    return resnet18(num_classes=10).train()


@pytest.fixture
def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def state(network):
    return copy.deepcopy(network.state_dict()), [layer.training for layer in network.modules()]


def assert_untouched(network, before):
    tensors, modes = before
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name
    assert [layer.training for layer in network.modules()] == modes
    assert all(not layer._forward_hooks for layer in network.modules())


def test_building_hints_changes_neither_network(student, teacher, images):
    student.features[1].eval()  # a frozen layer in a network that trains
    before = state(student), state(teacher)
    Hints(student, teacher, EVERY_LOSS, images)
    assert_untouched(student, before[0])
    assert_untouched(teacher, before[1])


def test_every_hint_gives_a_loss_with_gradient_to_the_student_alone(student, teacher, images):
    hints = Hints(student, teacher, EVERY_LOSS, images)
    teacher.eval()
    before = state(teacher)
    with hints.watch() as taken, torch.autocast("cpu", dtype=torch.bfloat16):
        teacher(images)
        student(images)
        parts = hints.losses(taken)
    assert list(parts) == [
        "hint.fitnet:features.10",
        "hint.attention:features.3",
        "hint.relational:features.14",
        "hint.pooled:features",
    ]
    assert all(part.dtype == torch.float32 and torch.isfinite(part) for part in parts.values())
    sum(parts.values()).backward()
    assert student.features[0].weight.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in hints.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert_untouched(teacher, before)


def test_a_weight_multiplies_its_loss(student, teacher, images):
    def loss(weight):
        hints = Hints(student, teacher, [EVERY_LOSS[1].model_copy(update={"weight": weight})], images)
        with hints.watch() as taken, torch.no_grad():
            teacher.eval()(images)
            student.eval()(images)
        (part,) = hints.losses(taken).values()
        return part

    torch.testing.assert_close(loss(10.0), 10 * loss(1.0))


def test_the_teacher_may_answer_in_inference_mode_and_see_another_resolution(student, teacher, images):
    larger = torch.randn(4, 3, 64, 64)
    hints = Hints(student, teacher.eval(), EVERY_LOSS, images, teacher_example=larger)
    with hints.watch() as taken:
        with torch.inference_mode():
            teacher(larger)
        student(images)
    sum(hints.losses(taken).values()).backward()


@pytest.mark.parametrize("side", [4, 8, 16, 5, 3])
def test_fitnet_bridges_any_two_sizes(side, images):
    student, teacher = nn.Sequential(nn.Conv2d(3, 6, 4, 4)), nn.Sequential(nn.AdaptiveAvgPool2d(side))
    hints = Hints(student, teacher, [Hint(student="0", teacher="0", loss="fitnet", weight=1)], images)
    with hints.watch() as taken:
        student(images), teacher(images)
    hints.losses(taken)["hint.fitnet:0"].backward()
    assert student[0].weight.grad.abs().sum() > 0


def test_only_adapters_are_learned_and_saved_with_hints(student, teacher, images):
    names = set(student.state_dict())
    hints = Hints(student, teacher, EVERY_LOSS, images)
    assert set(student.state_dict()) == names
    assert {name.split(".")[0] for name in hints.state_dict()} == {"adapters"}
    assert {name.split(".")[1] for name, _ in hints.named_parameters()} == {"0", "3"}  # fitnet and pooled


def test_features_are_those_before_a_layer_that_works_in_place(student, teacher, images):
    before_relu = Hint(student="features.1", teacher="bn1", loss="relational", weight=1)
    hints = Hints(student, teacher.eval(), [before_relu], images)
    with hints.watch() as taken:
        teacher(images)
        student(images)
    assert taken.student["features.1"].min() < 0
    assert taken.teacher["bn1"].min() < 0


def test_hooks_are_gone_after_an_error(student, teacher, images):
    hints = Hints(student, teacher, EVERY_LOSS, images)
    with pytest.raises(RuntimeError), hints.watch():
        student(images[:, :2])
    assert all(not layer._forward_hooks for network in (student, teacher) for layer in network.modules())
    with pytest.raises(RuntimeError):
        Hints(student, teacher, EVERY_LOSS, images[:, :2])
    assert all(not layer._forward_hooks for network in (student, teacher) for layer in network.modules())
    assert student.training
    assert teacher.training


def hint(**changes):
    return EVERY_LOSS[0].model_copy(update=changes)


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ([hint(student="feature.10")], "the student has no layer 'feature.10'; did you mean 'features.10'"),
        ([hint(teacher="layr2")], "the teacher has no layer 'layr2'; did you mean 'layer2'"),
        ([hint(), hint(teacher="layer1")], "two hints are both hint.fitnet:features.10"),
        ([hint(teacher="fc")], r"needs \[N, channels, H, W\]; the teacher's layer 'fc' gives \[4, 10\]"),
    ],
)
def test_a_hint_that_cannot_work_is_refused_by_name(hints, message, student, teacher, images):
    with pytest.raises(InputError, match=message):
        Hints(student, teacher, hints, images)


def test_a_teacher_that_did_not_run_is_named(student, teacher, images):
    hints = Hints(student, teacher, EVERY_LOSS, images)
    with hints.watch() as taken:
        student(images)
    with pytest.raises(InputError, match="the teacher's layer 'layer2' did not run"):
        hints.losses(taken)


@pytest.mark.parametrize("wrong", [{"loss": "fitnets"}, {"weight": 0}, {"wieght": 1}])
def test_a_recipe_cannot_say_a_wrong_hint(wrong):
    with pytest.raises(ValidationError):
        Hint.model_validate({"student": "a", "teacher": "b", "loss": "fitnet", "weight": 1, **wrong})


def test_a_fitnet_hint_falls_in_training(images):
    torch.manual_seed(3)
    student = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 4))
    teacher = nn.Sequential(nn.Conv2d(3, 16, 5, stride=4, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 64, 4))
    hints = Hints(student, teacher, [Hint(student="1", teacher="1", loss="fitnet", weight=1)], images)
    optimizer = torch.optim.SGD([*student.parameters(), *hints.parameters()], lr=0.1, momentum=0.9)
    losses = []
    for _ in range(40):
        with hints.watch() as taken:
            with torch.no_grad():
                teacher(images)
            student(images)
        loss = hints.losses(taken)["hint.fitnet:1"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
