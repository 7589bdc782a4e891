"""`zoo.learn.losses`: the published values, and no surprise at the edges."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from zoo.learn.losses import (
    attention,
    bce,
    bernoulli_kl,
    dist,
    dkd,
    fitnet,
    hard_label,
    kd,
    mse,
    pooled,
    relational,
    smooth_l1,
    standardise,
    wttm,
)
from zoo.learn.losses.registry import SOFT_LOSSES, bind

REFERENCE = json.loads((Path(__file__).parent / "losses.json").read_text())
PUBLISHED = {
    "kd_T1": lambda s, t, y: kd(s, t, temperature=1),
    "kd_T4": lambda s, t, y: kd(s, t, temperature=4),
    "dkd_a1_b8_T4": lambda s, t, y: dkd(s, t, y, alpha=1, beta=8, temperature=4),
    "dkd_a1_b2_T1": lambda s, t, y: dkd(s, t, y, alpha=1, beta=2, temperature=1),
    "dist_T1": lambda s, t, y: dist(s, t, temperature=1),
    "dist_T4": lambda s, t, y: dist(s, t, temperature=4),
    "kd_logit_std_T2": lambda s, t, y: kd(standardise(s), standardise(t), temperature=2),
    "bernoulli_kl": lambda s, t, y: bernoulli_kl(s, t),
}
VALUES = [(case, name) for case in REFERENCE["logits"] for name in case["values"]]
FORMS = [(name, form) for name, loss in SOFT_LOSSES.items() for form in ((False, True) if loss.softmax else (False,))]
FEATURES = {"fitnet": fitnet, "attention": attention, "relational": relational, "pooled": pooled}


def logits(seed=0, n=6, classes=10, scale=1.0):
    """Student's and teacher's logits and the targets, as the reference draws them."""
    random = np.random.default_rng(seed)
    student, teacher = ((random.normal(size=(n, classes)) * scale).astype("float32") for _ in range(2))
    return torch.from_numpy(student), torch.from_numpy(teacher), torch.from_numpy(random.integers(0, classes, n))


def maps(seed=0, channels=(8, 8), sizes=(4, 4), n=6):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(n, c, side, side, generator=random) for c, side in zip(channels, sizes, strict=True)]


@pytest.mark.parametrize(("case", "name"), VALUES, ids=lambda value: value if isinstance(value, str) else value["seed"])
def test_losses_on_logits_equal_the_published_values(case, name):
    inputs = logits(case["seed"], case["n"], case["classes"], case["scale"])
    assert PUBLISHED[name](*inputs).item() == pytest.approx(case["values"][name], rel=1e-5)


@pytest.mark.parametrize("case", REFERENCE["features"], ids=lambda case: f"seed{case['seed']}")
def test_losses_on_features_equal_the_published_values(case):
    random = np.random.default_rng(case["seed"])

    def draw(*shape):
        return torch.from_numpy(random.normal(size=shape).astype("float32"))

    student = [draw(4, 8 * (i + 1), 8 >> i, 8 >> i) for i in range(3)]
    teacher = [draw(4, 12 * (i + 1), 8 >> i, 8 >> i) for i in range(3)]
    attentions = sum(attention(s, t).item() for s, t in zip(student, teacher, strict=True))
    assert attentions == pytest.approx(case["values"]["at_p2"], rel=1e-5)
    assert relational(draw(6, 16), draw(6, 32)).item() == pytest.approx(case["values"]["rkd_d25_a50"], rel=1e-5)


@pytest.mark.parametrize("temperature", [1, 5])
def test_wttm_equals_its_formula_in_float64(temperature):
    student, teacher, _ = (tensor.double() for tensor in logits(scale=3))
    powered = teacher.softmax(1) ** (1 / temperature)
    weight = powered.sum(1)
    target = powered / weight[:, None]
    expected = (weight * (target * (target.log() - student.softmax(1).log())).sum(1)).mean()
    assert wttm(student, teacher, temperature=temperature).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_kd_is_the_target_part_of_dkd_plus_what_the_teacher_leaves_of_the_rest(seed):
    temperature = 1 + seed % 5
    student, teacher, target = logits(seed, n=1, classes=2 + seed, scale=1 + seed / 2)
    target_part = dkd(student, teacher, target, alpha=1, beta=0, temperature=temperature)
    rest_part = dkd(student, teacher, target, alpha=0, beta=1, temperature=temperature)
    sure = (teacher / temperature).softmax(1)[0, target[0]]
    torch.testing.assert_close(
        target_part + (1 - sure) * rest_part, kd(student, teacher, temperature=temperature), rtol=1e-4, atol=1e-6
    )


def test_kd_ignores_a_shift_of_the_logits():
    student, teacher, _ = logits()
    shifted = kd(student + 5, teacher - 7, temperature=3)
    torch.testing.assert_close(shifted, kd(student, teacher, temperature=3), rtol=1e-4, atol=1e-5)


def test_bernoulli_kl_equals_torch_distributions():
    student, teacher, _ = logits(scale=3)
    expected = kl_divergence(Bernoulli(logits=teacher), Bernoulli(logits=student)).sum(1).mean()
    torch.testing.assert_close(bernoulli_kl(student, teacher), expected, rtol=1e-5, atol=0)


def test_bce_pulls_as_bernoulli_kl_does():
    student, teacher, _ = logits(scale=3)
    student.requires_grad_()
    pulls = [torch.autograd.grad(loss(student, teacher), student)[0] for loss in (bce, bernoulli_kl)]
    torch.testing.assert_close(*pulls, rtol=1e-4, atol=1e-6)


def test_hard_label_is_cross_entropy_with_the_teachers_choice():
    student, teacher, _ = logits()
    expected = torch.nn.functional.cross_entropy(student, teacher.argmax(1))
    torch.testing.assert_close(hard_label(student, teacher), expected)


def test_smooth_l1_pulls_less_than_mse_on_an_outlier():
    student, teacher = torch.zeros(1, 2), torch.tensor([[0.5, 100.0]])
    assert smooth_l1(student, teacher, beta=1).item() == pytest.approx((0.125 + 99.5) / 2)
    assert mse(student, teacher).item() == pytest.approx((0.25 + 10_000) / 2)


@pytest.mark.parametrize("name", sorted({*SOFT_LOSSES} - {"bce", "hard_label", "wttm"}))
def test_a_student_that_answers_as_its_teacher_has_no_loss(name):
    _, teacher, target = logits(scale=3)
    assert bind(name, {})(teacher, teacher, target).item() == pytest.approx(0, abs=1e-5)


def test_a_student_of_wttm_is_done_at_the_teachers_temperature():
    _, teacher, _ = logits(scale=3)
    assert wttm(teacher / 5, teacher, temperature=5).item() == pytest.approx(0, abs=1e-5)


def test_a_standardised_student_is_free_in_scale_and_shift():
    _, teacher, target = logits(scale=3)
    student = 3 * teacher + 5
    assert bind("kd", {}, standardised=True)(student, teacher, target).item() == pytest.approx(0, abs=1e-5)
    assert bind("kd", {})(student, teacher, target).item() > 0.1


@pytest.mark.parametrize("loss", FEATURES.values(), ids=FEATURES)
def test_equal_features_have_no_loss(loss):
    student, _ = maps()
    assert loss(student, student).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("name", "standardised"), FORMS)
def test_losses_are_finite_at_any_gap_and_in_any_precision(name, standardised, dtype, autocast):
    rows = [[200.0, 0.0, -200.0], [0.0, 0.0, 0.0], [-200.0, 0.0, 0.0]]
    student = torch.tensor(rows, dtype=dtype, requires_grad=True)
    teacher = torch.tensor(rows[::-1], dtype=dtype)
    settings = {"temperature": 1.0} if "temperature" in SOFT_LOSSES[name].parameters else {}
    loss = bind(name, settings, standardised=standardised)
    with torch.autocast("cpu", dtype=autocast) if autocast else contextlib.nullcontext():
        value = loss(student, teacher, torch.tensor([0, 1, 2]))
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


def test_a_sure_mistake_costs_its_gap_and_not_infinity():
    student, teacher = torch.tensor([[200.0, 0.0]]), torch.tensor([[0.0, 200.0]])
    assert dkd(student, teacher, torch.tensor([0]), alpha=1, beta=8, temperature=1).item() == pytest.approx(200)
    assert kd(student, teacher, temperature=1).item() == pytest.approx(200)
    assert bernoulli_kl(student, -student).item() == pytest.approx(200)


@pytest.mark.parametrize("loss", FEATURES.values(), ids=FEATURES)
@pytest.mark.parametrize("student", [torch.zeros(4, 3, 2, 2), 200 * torch.ones(4, 3, 2, 2)], ids=["dead", "flat"])
def test_features_that_are_all_alike_give_a_finite_gradient(loss, student):
    student = student.half().requires_grad_()
    _, teacher = maps(channels=(3, 3), sizes=(2, 2), n=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(student, teacher)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


def test_half_precision_changes_no_loss_beyond_its_rounding():
    student, teacher, target = (tensor.half() if tensor.is_floating_point() else tensor for tensor in logits(scale=3))
    for name in SOFT_LOSSES:
        loss = bind(name, {})
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(student, teacher, target)
        assert torch.equal(value, loss(student.float(), teacher.float(), target)), name


@pytest.mark.parametrize(("name", "standardised"), FORMS)
def test_a_head_that_starts_at_zero_survives_its_first_step(name, standardised):
    student = torch.zeros(6, 10, requires_grad=True)
    _, teacher, target = logits()
    bind(name, {}, standardised=standardised)(student, teacher, target).backward()
    assert student.grad.abs().max() < 10


def test_a_teacher_takes_no_gradient_and_may_come_from_inference_mode():
    student, teacher, target = logits()
    student.requires_grad_()
    teacher.requires_grad_()
    with torch.inference_mode():
        answer = teacher * 1
    for name in SOFT_LOSSES:
        value = bind(name, {})(student, teacher, target)
        assert torch.autograd.grad(value, [student, teacher], allow_unused=True)[1] is None, name
        bind(name, {})(student, answer, target).backward()


@pytest.mark.parametrize("sizes", [(8, 4), (4, 8), (5, 3)])
def test_attention_compares_maps_of_any_size_and_width(sizes):
    student, teacher = maps(channels=(8, 12), sizes=sizes)
    assert 0 < attention(student, teacher) < 1


def test_relational_looks_at_the_angles_of_the_first_64_images_only():
    student, teacher = maps(channels=(8, 12), n=200)
    few = relational(student[:64], teacher[:64], distance_weight=0)
    torch.testing.assert_close(relational(student, teacher, distance_weight=0), few)
