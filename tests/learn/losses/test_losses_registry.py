"""Soft losses by name, as a recipe asks for them."""

from __future__ import annotations

import pytest
import torch

from zoo.errors import InputError
from zoo.learn.losses import dkd, kd, standardise
from zoo.learn.losses.registry import SOFT_LOSSES, bind, loss_named


@pytest.fixture
def answers():
    random = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, 4, generator=random) for _ in range(2))
    return student, teacher, torch.tensor([0, 1, 2, 3, 0])


def test_a_bound_loss_takes_what_is_given_and_the_usual_for_the_rest(answers):
    student, teacher, target = answers
    expected = dkd(student, teacher, target, alpha=1, beta=2, temperature=4)
    assert torch.equal(bind("dkd", {"beta": 2})(*answers), expected)


def test_standardised_logits_bring_their_own_usual_setting(answers):
    student, teacher, _ = answers
    expected = kd(standardise(student), standardise(teacher), temperature=2)
    assert torch.equal(bind("kd", {}, standardised=True)(*answers), expected)
    assert loss_named("kd", standardised=True).weights == (0.1, 9.0)
    assert loss_named("kd").weights == (0.1, 0.9)


@pytest.mark.parametrize("name", SOFT_LOSSES)
def test_every_loss_runs_with_its_usual_setting(name, answers):
    assert bind(name, {})(*answers).shape == ()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bind("dkt", {}), "no soft loss 'dkt'.*did you mean 'dkd'"),
        (lambda: bind("kd", {"temprature": 3}), "kd has no parameter 'temprature'.*did you mean 'temperature'"),
        (lambda: bind("hard_label", {"temperature": 3}), "no parameter 'temperature'; it has none"),
        (lambda: bind("kd", {"temperature": 0}), "temperature must be above 0, not 0"),
        (lambda: bind("dkd", {"alpha": -1}), "alpha must be at least 0, not -1"),
        (lambda: bind("dkd", {"alpha": float("nan")}), "alpha must be at least 0, not nan"),
        (lambda: bind("bernoulli_kl", {}, standardised=True), "bernoulli_kl takes logits as they are"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(call, message):
    with pytest.raises(InputError, match=message):
        call()
