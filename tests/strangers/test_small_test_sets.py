"""Accuracy budgets on small test sets: one image more or less is no verdict, and the message says how many would be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from bench.gate import verdict
from bench.gate.config import GateConfig
from bench.gate.runners import Facts
from bench.results import Accuracy
from export import Evidence, pack_onnx
from export.packing import judge
from tests.support.command import one_line
from tests.support.gates import NEAR, folder, write_graph
from tests.support.tiny import GRAPH, LABELS, SIDE
from zoo.errors import Inconclusive, VerdictError
from zoo.tasks.evidence import Loss, Pairs, upper_tail

IMAGES = 153
ONE_OF_153 = "1 of 153 images; the budget of 0.5 points is less than one image; about 5,700 images would decide"


def accuracy(right: int, images: int = IMAGES) -> Accuracy:
    return Accuracy(task="classification", metric="top1", value=right / images, images=images)


@pytest.mark.parametrize(
    ("least", "trials", "chance"), [(6, 6, 0.56), (60, 110, 0.52), (3, 10, 0.9), (9000, 17000, 0.5)]
)
def test_the_tail_is_that_of_the_binomial_distribution(least, trials, chance):
    assert upper_tail(least, trials, chance) == pytest.approx(binom.sf(least - 1, trials, chance), rel=1e-9)


def test_without_a_budget_it_is_mcnemars_exact_test():
    """Lost 9 and gained 1 of any number of images: P(X >= 9) of binomial(10, 1/2) is 11 / 1024."""
    assert Pairs(5000, 9, 1).chance(0.0) == pytest.approx(11 / 1024)
    before, after = np.array([True, True, True, False]), np.array([True, False, False, True])
    assert Pairs.of(before, after) == Pairs(4, 2, 1)


def test_many_swaps_hide_a_loss_that_few_show():
    """Both lose 12 images net of 1,000, with a budget of 2: what the pairs say decides, not the points."""
    assert Loss(Pairs(1000, 13, 1), 0.002, 0.01).shown
    assert not Loss(Pairs(1000, 132, 120), 0.002, 0.01).shown


@pytest.mark.parametrize("pairs", [Pairs(153, 1, 0), Pairs(153, 2, 0), Pairs(1000, 60, 50), Pairs(40, 8, 6)])
def test_so_many_images_with_the_same_shares_do_decide(pairs):
    needed = pairs.deciding(0.005, 0.01)
    assert needed is not None
    factor = needed / pairs.images
    larger = Pairs(needed, round(pairs.lost * factor), round(pairs.gained * factor))
    assert Loss(larger, 0.005, 0.012).shown  # rounded up to two digits
    half = Pairs(needed // 2, round(pairs.lost * factor / 2), round(pairs.gained * factor / 2))
    assert not Loss(half, 0.005, 0.01).shown
    assert Pairs(1000, 5, 1).deciding(0.005, 0.01) is None  # within the budget


@pytest.mark.parametrize(
    ("right", "images", "expected", "said"),
    [
        (153, IMAGES, "pass", "top1 100.00 % -> 100.00 %"),
        (152, IMAGES, "inconclusive", f"top1 100.00 % -> 99.35 %: {ONE_OF_153}"),
        (110, IMAGES, "fail", "top1 100.00 % -> 71.90 % (at most 0.5 % worse)"),
    ],
)
def test_the_gate_counts_images(right, images, expected, said):
    checks = verdict.exact(Facts(1, 1, accuracy(153)), Facts(1, 1, accuracy(right, images)), GateConfig())
    found = next(check for check in checks if check.name == "accuracy")
    assert (found.verdict, found.reason) == (expected, said)


def test_more_benchmarks_ask_for_more_certainty_and_points_have_no_images():
    before, after = Facts(1, 1, accuracy(153)), Facts(1, 1, accuracy(144))
    verdicts = [verdict.exact(before, after, GateConfig(), many)[-1].verdict for many in (1, 20)]
    assert verdicts == ["fail", "inconclusive"]
    points = [Facts(1, 1, Accuracy(task="keypoints", metric="rmse", value=value, images=9)) for value in (1.0, 1.6)]
    assert verdict.exact(*points, GateConfig())[-1].verdict == "fail"


def test_one_image_of_a_results_file_is_exit_3_and_says_how_many_would_decide(tmp_path, zoo_command):
    before = folder(tmp_path / "before", NEAR, accuracy=0.99)
    after = folder(tmp_path / "after", NEAR, accuracy=0.98)
    done = zoo_command("bench", "gate", "--baseline", before, "--candidate", after, "--sarif", "g.sarif")
    assert done.returncode == 3
    said = "accuracy: top1 99.00 % -> 98.00 %: 1 of 100 images; the budget of 0.5 points is less than one image; about "
    assert said in one_line(done.stderr)
    (finding,) = json.loads((tmp_path / "g.sarif").read_text())["runs"][0]["results"]
    assert (finding["ruleId"], finding["level"]) == ("accuracy", "note")


@pytest.fixture
def lossy(tmp_path, monkeypatch):
    """Export of a network that has all 153 images right; its int8 graph gets the first `lost` of them wrong."""
    draw = np.random.default_rng(0)
    targets = draw.integers(0, 3, IMAGES)
    pixels = draw.integers(0, 100, (IMAGES, SIDE, SIDE, 3))
    pixels[np.arange(IMAGES), :, :, targets] += 120
    images = pixels.astype(np.uint8)
    real = judge.logits_of_file

    def export(lost: int) -> Path:
        def wrong(path, precision, images):
            logits = real(path, precision, images)
            assert (logits.argmax(axis=1) == targets).all()
            if precision == "int8":
                logits[:lost] = np.roll(logits[:lost], 1, axis=1)
            return logits

        monkeypatch.setattr(judge, "logits_of_file", wrong)
        graph, out = write_graph(tmp_path / "net.onnx", GRAPH), tmp_path / "net.zoo"
        evidence = Evidence(images, images, targets)
        pack_onnx(graph, out, labels=LABELS, evidence=evidence, precisions=("int8",))
        return out

    return export


def test_a_loss_within_the_budget_is_packed_without_a_word(lossy, capfd):
    assert json.loads((lossy(1) / "manifest.json").read_text())["accuracy"]["graphs"]["int8"] == 152 / 153
    assert "doubt" not in capfd.readouterr().err


def test_a_budget_between_two_numbers_of_images_is_packed_and_said(lossy, capfd):
    """1 point of 153 images is 1.53 images, and 2 are lost."""
    assert (lossy(2) / "model.int8.onnx").is_file()
    assert (
        "net: int8 is packed with a loss in doubt: 2 of 153 images; the budget of 1 point is 1.53 images; about "
        in capfd.readouterr().err
    )


def test_a_loss_that_the_images_do_not_show_is_inconclusive_and_one_that_they_show_is_an_error(lossy, tmp_path):
    with pytest.raises(
        Inconclusive, match=r"int8 graph is not packed: its loss is in doubt: 3 of 153 images; .* would"
    ):
        lossy(3)
    with pytest.raises(
        VerdictError, match=r"int8 graph is not packed: top1 goes from 100.00 % to 73.86 % \(at most 1 %"
    ):
        lossy(40)
    assert not (tmp_path / "net.zoo").exists()
