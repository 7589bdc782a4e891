"""`zoo.learn.losses`: the published values, and no surprise at the edges."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.learn.losses import kd
from zoo.learn.tasks import Classification

REFERENCE = json.loads((Path(__file__).parent / "parity" / "losses.json").read_text())


def logits(case):
    random = np.random.default_rng(case["seed"])
    shape = case["n"], case["classes"]
    return [torch.from_numpy((random.normal(size=shape) * case["scale"]).astype("float32")) for _ in range(2)]


@pytest.mark.parametrize("temperature", [1, 4])
@pytest.mark.parametrize("case", REFERENCE["logits"], ids=lambda case: f"seed{case['seed']}")
def test_kd_equals_the_published_values(case, temperature):
    student, teacher = logits(case)
    value = kd(student, teacher, temperature=temperature).item()
    assert value == pytest.approx(case["values"][f"kd_T{temperature}"], rel=1e-5)


def test_kd_is_zero_for_equal_answers_and_ignores_a_shift():
    student, teacher = logits(REFERENCE["logits"][0])
    assert kd(teacher, teacher, temperature=3).item() == pytest.approx(0, abs=1e-6)
    shifted = kd(student + 5, teacher - 7, temperature=3)
    torch.testing.assert_close(shifted, kd(student, teacher, temperature=3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_kd_is_finite_at_any_gap_and_in_any_precision(dtype):
    student = torch.tensor([[200.0, 0.0, -200.0], [0.0, 0.0, 0.0]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([[-200.0, 0.0, 200.0], [200.0, 0.0, 0.0]], dtype=dtype)
    value = kd(student, teacher, temperature=1)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert torch.isfinite(student.grad).all()


def test_hard_loss_counts_only_images_with_a_label():
    task = Classification()
    answers, targets = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    labelled = torch.tensor([True, False, True, False, False, False])
    expected = torch.nn.functional.cross_entropy(answers[labelled], targets[labelled])
    torch.testing.assert_close(task.hard(answers, targets, labelled), expected)
    assert task.hard(answers, targets, torch.zeros(6, dtype=torch.bool)).item() == 0
