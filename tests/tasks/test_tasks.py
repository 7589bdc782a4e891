"""The three tasks: what counts as good, what a view does to a target, what an app is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zoo.errors import InputError
from zoo.preprocess import Preprocessing
from zoo.tasks.geometry import Geometry
from zoo.tasks.learning.classification import Classification
from zoo.tasks.learning.keypoints import Keypoints
from zoo.tasks.learning.tagging import Tagging
from zoo.tasks.registry import TASKS

POINTS = ["left_eye", "right_eye", "nose"]


def test_the_metric_of_classes():
    task = TASKS["classification"](["a", "b"], 8)
    outputs = np.array([[2, 1], [0, 1], [3, 0]], np.float32)
    assert task.score(outputs, np.array([0, 1, 1])) == {"top1": pytest.approx(2 / 3)}
    assert task.lost(0.9, 0.88) == pytest.approx(2)
    assert task.shown(0.9876) == "98.76 %"


def test_the_metrics_of_tags_are_scikit_learns():
    from sklearn.metrics import average_precision_score, f1_score

    random = np.random.default_rng(0)
    outputs = random.normal(size=(200, 12)).round(1).astype(np.float32)  # rounded: ties
    targets = (random.uniform(size=(200, 12)) < 0.2).astype(np.float32)
    targets[:, 5] = 0  # a tag that never occurs does not count
    scores = TASKS["tagging"]([str(i) for i in range(12)], 8).score(outputs, targets)
    occurs = targets.any(axis=0)
    wanted, given = targets[:, occurs], outputs[:, occurs]
    assert scores["map"] == pytest.approx(average_precision_score(wanted, given, average="macro"), abs=1e-6)
    assert scores["micro_f1"] == pytest.approx(f1_score(targets, outputs >= 0, average="micro"))
    assert scores["macro_f1"] == pytest.approx(f1_score(wanted, given >= 0, average="macro"))


def test_the_metrics_of_points_are_in_pixels_and_ignore_what_nobody_marked():
    task = TASKS["keypoints"](POINTS, 100)
    targets = np.array([[-0.5, 0, 0.5, 0, np.nan, np.nan], [-0.4, 0.2, 0.4, -0.2, 0, 0.3]], np.float32)
    outputs = np.nan_to_num(targets, nan=9) + np.float32(0.02)  # one pixel off in x and y
    scores = task.score(outputs, targets)
    assert scores["rmse"] == pytest.approx(1, rel=1e-4)
    side = np.sqrt(40 * 25)  # of the second face; the first one's points lie on a line
    assert scores["nme"] == pytest.approx(np.sqrt(2) / side, rel=1e-4)
    assert task.lost(1.0, 1.5) == pytest.approx(0.5)
    assert task.agreement(outputs, outputs + np.float32(0.009)) == 1
    assert task.agreement(outputs, outputs + np.float32(0.011)) == 0


def test_points_are_told_in_the_pixels_of_the_picture_that_was_given():
    task = TASKS["keypoints"](["corner", "middle"], 50)
    preprocessing = Preprocessing(60, 50, 50)  # 200 x 120 becomes 100 x 60, of which the middle 50 x 50 is seen
    answer = task.decode(np.array([-1, -1, 0, 0], np.float32), preprocessing, (200, 120))
    np.testing.assert_allclose(answer.points, [[49.5, 9.5], [99.5, 59.5]])
    assert answer.as_dict(3)["points"]["middle"] == [99.5, 59.5]
    assert answer.text(3) == "corner (49.5, 9.5), middle (99.5, 59.5)"


def test_tags_have_scores_of_their_own():
    answer = TASKS["tagging"](["sky", "sea", "cat"], 8).decode(
        np.array([3, 2, -1e4], np.float32), Preprocessing.square(8), (9, 9)
    )
    assert [name for name, _ in answer.top(2)] == ["sky", "sea"]
    assert answer.scores.sum() > 1.5
    assert answer.scores[2] == 0


def test_a_mirror_swaps_left_and_right_and_a_shift_moves_every_point():
    task = Keypoints(POINTS, 20)
    targets = torch.tensor([[-0.5, -0.2, 0.4, -0.1, 0.0, float("nan")]])
    still = Geometry(torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([False]))
    torch.testing.assert_close(task.moved(targets, still), targets, equal_nan=True)
    moved = task.moved(targets, Geometry(torch.ones(1, 2), torch.tensor([[0.1, 0.2]]), torch.tensor([True])))
    expected = torch.tensor([[-0.5, 0.1, 0.4, 0.0, -0.1, float("nan")]])
    torch.testing.assert_close(moved, expected, equal_nan=True)


def test_unmarked_points_teach_nothing():
    task = Keypoints(POINTS, 20)
    output = torch.zeros(2, 6, requires_grad=True)
    targets = torch.full((2, 6), float("nan"))
    targets[0, :2] = 0.5
    loss = task.hard(output, targets, torch.tensor([True, True]))
    loss.backward()
    assert loss.item() == pytest.approx(0.25)
    assert output.grad is not None
    assert output.grad[0, 2:].abs().sum() == 0
    assert output.grad[1].abs().sum() == 0


def test_hard_losses_count_only_images_with_a_label():
    answers, classes = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    labelled = torch.tensor([True, False, True, False, False, False])
    expected = torch.nn.functional.cross_entropy(answers[labelled], classes[labelled])
    torch.testing.assert_close(Classification("abcd", 8).hard(answers, classes, labelled), expected)
    tags = torch.rand(6, 4)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(answers[labelled], tags[labelled]) * 4
    torch.testing.assert_close(Tagging("abcd", 8).hard(answers, tags, labelled), expected)
    for task, targets in ((Classification("abcd", 8), classes), (Tagging("abcd", 8), tags)):
        assert task.hard(answers, targets, torch.zeros(6, dtype=torch.bool)).item() == 0


def test_smoothing_is_torchs():
    answers, classes = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    every = torch.ones(5, dtype=torch.bool)
    expected = torch.nn.functional.cross_entropy(answers, classes, label_smoothing=0.1)
    torch.testing.assert_close(Classification("abc", 8).hard(answers, classes, every, smoothing=0.1), expected)


def test_labels_have_columns():
    assert TASKS["keypoints"](POINTS, 8).columns(["nose", "left_eye"]).tolist() == [4, 5, 0, 1]
    assert TASKS["tagging"](["a", "b"], 8).columns(["b"]).tolist() == [1]
    with pytest.raises(InputError, match="did you mean 'nose'"):
        TASKS["keypoints"](POINTS, 8).columns(["noze"])
    with pytest.raises(InputError, match="exclude each other"):
        TASKS["classification"](["a", "b"], 8).columns(["b"])
