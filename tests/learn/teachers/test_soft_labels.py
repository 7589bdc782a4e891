"""Cached answers are those an online teacher would give, belong to one teacher, and are asked for once."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from zoo.data.seeded import SeededCrop
from zoo.data.views import CropFlip
from zoo.errors import EnvironmentProblem, InputError, ZooError
from zoo.learn.batch import Batch
from zoo.learn.recipe.schema import load_recipe
from zoo.learn.run.run import Run
from zoo.learn.teachers.cached import CachedTeacher
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.teachers.soft_labels import SoftLabels
from zoo.learn.train.batches import Batches
from zoo.models import checkpoint
from zoo.models.normalisation import Normalised

SHAPE = {"images": 5, "views": 3, "outputs": 2}
PRINTS = {"data": "d", "view_set": "v", "teacher": "t"}


def test_answers_survive_closing_and_half_precision(tmp_path):
    store = SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    pairs = np.array([0, 4]), np.array([2, 0])
    assert not store.has(*pairs).any()
    answers = np.array([[1.0001, -7.5], [0.333333, 40000.0]], np.float32)
    store.put(*pairs, answers)
    again = SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    assert again.has(*pairs).all()
    assert not again.has(np.array([0]), np.array([0])).any()
    np.testing.assert_array_equal(again.get(*pairs), answers.astype(np.float16).astype(np.float32))
    assert again.filled == pytest.approx(2 / 15)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "another"}, "data"),
        ({"view_set": "another"}, "views"),
        ({"teacher": "another"}, "teacher"),
        ({"top": 1}, "top"),
        ({"images": 6, "teacher": "another"}, "shape and other teacher"),
    ],
)
def test_a_store_of_others_is_refused_and_says_whose(tmp_path, changes, words):
    SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    with pytest.raises(InputError, match=f"other {words}$"):
        SoftLabels.open(tmp_path / "s", **{**SHAPE, **PRINTS, **changes})


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "s").mkdir()
    SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)  # an empty one is welcome
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(EnvironmentProblem, match="not empty"):
        SoftLabels.open(tmp_path / "photos", **SHAPE, **PRINTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "s"]


OPENED_ELSEWHERE = """
import sys, pathlib, numpy as np
from zoo.learn.teachers.soft_labels import SoftLabels
folder, mine, count = pathlib.Path(sys.argv[1]), int(sys.argv[2]), 40
print("ready", flush=True)
sys.stdin.readline()
for store in range(count):
    labels = SoftLabels.open(
        folder / str(store), images=2, views=1, outputs=3, data="d", view_set="v", teacher="t", top=2
    )
    labels.put(np.array([mine]), np.array([0]), np.full((1, 3), mine, np.float32))
"""


def test_two_processes_open_and_fill_one_store_at_the_same_time(tmp_path):
    """As in a training on several GPUs, of which each answers its own share of the images."""
    command = [sys.executable, "-c", OPENED_ELSEWHERE, tmp_path]
    both = [
        subprocess.Popen([*command, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for mine in (0, 1)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert sorted(int(path.name) for path in tmp_path.iterdir()) == list(range(40))  # and nothing half made
    for store in tmp_path.iterdir():
        labels = SoftLabels.open(store, images=2, views=1, outputs=3, data="d", view_set="v", teacher="t", top=2)
        assert labels.filled == 1


def top_of(folder, logits, top):
    """What comes back when the `top` largest of each row were kept."""
    images, outputs = logits.shape
    store = SoftLabels.open(folder, images=images, views=1, outputs=outputs, **PRINTS, top=top)
    everything = np.arange(images), np.zeros(images, dtype=np.int64)
    store.put(*everything, logits)
    return store.get(*everything)


def test_the_top_of_all_outputs_is_all_of_them(tmp_path):
    logits = np.random.default_rng(0).normal(scale=4, size=(20, 10)).astype(np.float32)
    np.testing.assert_allclose(top_of(tmp_path / "s", logits, 10), log_softmax(logits, axis=1), atol=0.02)


@pytest.mark.parametrize("spread", [0.5, 4.0, 40.0])
def test_what_is_not_kept_is_spread_evenly_over_the_others(tmp_path, spread):
    logits = np.random.default_rng(0).normal(scale=spread, size=(50, 30)).astype(np.float32)
    before, after = softmax(logits.astype(np.float64), axis=1), softmax(top_of(tmp_path / "s", logits, 5), axis=1)
    np.testing.assert_allclose(after.sum(axis=1), 1, atol=1e-6)
    order = np.argsort(-before, axis=1)
    kept, others = order[:, :5], order[:, 5:]
    np.testing.assert_allclose(*(np.take_along_axis(p, kept, 1) for p in (after, before)), rtol=0.03, atol=2e-3)
    rest = np.take_along_axis(after, others, 1)
    np.testing.assert_allclose(rest.max(axis=1), rest.min(axis=1))
    expected = np.take_along_axis(before, others, 1).sum(axis=1)
    np.testing.assert_allclose(rest.sum(axis=1), expected, rtol=0.03, atol=1e-6)


@pytest.mark.parametrize(("outputs", "file"), [(5_000, "top.u16"), (2**16, "top.u16"), (70_000, "top.i32")])
def test_outputs_beyond_what_half_precision_counts_are_told_apart(tmp_path, outputs, file):
    """FKD keeps its indices in fp16, which is exact to 2,048 only."""
    winners = np.array([2_049, 4_097, outputs - 1])
    logits = np.zeros((3, outputs), np.float32)
    logits[np.arange(3), winners] = 20
    assert top_of(tmp_path / "s", logits, 2).argmax(axis=1).tolist() == winners.tolist()
    assert (tmp_path / "s" / file).is_file()


@pytest.mark.parametrize("logits", [[3.0e38, -3.0e38, 0, 1], [1e6, 0, 0, 0]])
def test_the_top_of_any_finite_answer_is_finite(tmp_path, logits):
    assert np.isfinite(top_of(tmp_path / "s", np.array([logits], np.float32), 2)).all()


def test_the_top_of_no_number_is_refused(tmp_path):
    with pytest.raises(ZooError, match="nan"):
        top_of(tmp_path / "s", np.array([[0, np.nan, 1]], np.float32), 2)


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    store = SoftLabels.open(tmp_path / "s", **SHAPE, **PRINTS)
    with pytest.raises(ZooError, match="fp16"):
        store.put(np.array([0]), np.array([0]), np.array([[1e6, 0]], np.float32))
    assert not store.has(np.array([0]), np.array([0])).any()


@pytest.fixture
def teacher(run):
    network, _ = checkpoint.load(run.folder / "teacher")
    return OnlineTeacher(network)


def open_store(folder, run, teacher, views):
    return SoftLabels.open(
        folder,
        images=len(run.splits.train),
        views=views.count,
        outputs=3,
        data=run.splits.train.fingerprint,
        view_set=views.fingerprint,
        teacher=teacher.fingerprint,
    )


def test_cached_answers_are_those_of_an_online_teacher(run, teacher, tmp_path):
    """The very batches of a training, three epochs of them: on every view the label an online teacher would give."""
    views = CropFlip(1, True)
    cached = CachedTeacher(teacher, open_store(tmp_path / "s", run, teacher, views))
    batches = Batches(run.splits.train, views, run.task, batch=16, steps=6, seed=0)
    for epoch in (0, 1, 2, 0):
        batches.epoch = epoch
        for batch in batches:
            torch.testing.assert_close(cached.logits(batch), teacher.logits(batch), rtol=1e-3, atol=2e-3)
    assert cached.tally.asked + cached.tally.reused == 4 * 96
    assert cached.tally.reused >= 96  # the repeated epoch asked nothing


def test_prefilling_answers_everything_once(run, teacher, tmp_path):
    views = CropFlip(1, False)
    store = open_store(tmp_path / "s", run, teacher, views)
    CachedTeacher(teacher, store).fill(run.splits.train, views, batch=50)
    assert store.filled == 1
    again = CachedTeacher(teacher, store)
    again.fill(run.splits.train, views, batch=7)
    assert again.tally.asked == 0


class Recorder:
    """A student or a teacher that remembers what it was shown: {(image, view): pixels}."""

    fingerprint = "recorder"

    def __init__(self):
        self.seen = {}

    def logits(self, batch):
        for image, index, view in zip(batch.images, batch.indices.tolist(), batch.views.tolist(), strict=True):
            self.seen[index, view] = image.clone()
        return batch.images.float().mean((1, 2))


def test_a_student_sees_exactly_the_views_that_its_teacher_answered(run, tmp_path):
    """Answered view by view beforehand, and asked for in the order of a training: the same pixels."""
    views = SeededCrop(5, 12, jitter=0.4)
    teacher, student = Recorder(), Recorder()
    images = run.splits.train
    cached = CachedTeacher(teacher, open_store(tmp_path / "s", run, teacher, views))
    cached.fill(images, views, batch=10)
    assert len(teacher.seen) == 5 * len(images)
    for batch in Batches(images, views, run.task, batch=16, steps=12, seed=3):
        expected = student.logits(batch)
        torch.testing.assert_close(cached.logits(batch), expected, rtol=1e-3, atol=0.1)  # fp16 of up to 255
    assert cached.tally.asked == 5 * len(images)  # by the prefilling alone
    assert all(torch.equal(teacher.seen[key], pixels) for key, pixels in student.seen.items())


def test_prefilling_goes_on_where_it_stopped(run, tmp_path):
    class Stopping(Recorder):
        def logits(self, batch):
            if len(self.seen) > 100:
                raise KeyboardInterrupt
            return super().logits(batch)

    views, images = SeededCrop(2, 12), run.splits.train
    first, second = Stopping(), Recorder()
    with pytest.raises(KeyboardInterrupt):
        CachedTeacher(first, open_store(tmp_path / "s", run, first, views)).fill(images, views, batch=10)
    again = CachedTeacher(second, open_store(tmp_path / "s", run, second, views))
    again.fill(images, views, batch=32)
    assert not first.seen.keys() & second.seen.keys()
    assert len(first.seen) + len(second.seen) == 2 * len(images)
    assert again.store.filled == 1


def test_stored_answers_are_in_full_precision_whatever_the_student_trains_in(run, teacher, tmp_path):
    views = CropFlip(1, True)
    batch = next(iter(Batches(run.splits.train, views, run.task, batch=16, steps=1, seed=0)))
    cached = CachedTeacher(teacher, open_store(tmp_path / "s", run, teacher, views))
    expected = teacher.logits(batch).half().float()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cached.logits(batch), expected)
        assert not torch.equal(teacher.logits(batch).half().float(), expected)


def test_a_teacher_never_changes(run, teacher):
    before = {name: tensor.clone() for name, tensor in teacher.network.state_dict().items()}
    print_before = teacher.fingerprint
    teacher.network.train()
    teacher = OnlineTeacher(teacher.network)
    batch = next(iter(Batches(run.splits.train, CropFlip(1, True), run.task, batch=16, steps=1, seed=0)))
    assert not teacher.logits(batch).requires_grad
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.network.state_dict().items())
    assert teacher.fingerprint == print_before


def test_a_teacher_may_see_another_resolution():
    seen = []

    class Probe(torch.nn.Module):
        def forward(self, x):
            seen.append(x.shape)
            return x.mean((2, 3))

    network = Normalised(Probe(), (0.0,) * 3, (1 / 255,) * 3)
    batch = Batch(torch.full((2, 16, 16, 3), 100, dtype=torch.uint8), *[torch.zeros(2)] * 4)
    logits = OnlineTeacher(network, size=32).logits(batch)
    assert seen[0][2:] == (32, 32)
    torch.testing.assert_close(logits, torch.full((2, 3), 100.0))


def test_later_students_and_runs_reuse_the_store(run, recipe_file, tmp_path):
    """Another student, loss and run, the same teacher and data: nothing is asked again that is there."""
    settings = [
        f"teacher.model=run:{run.folder / 'teacher'}",
        "distill.temperature=2.0",
        f"distill.store={tmp_path / 's'}",
    ]
    for folder, asked_any in (("one", True), ("two", False)):
        other = Run(load_recipe(str(recipe_file), settings), tmp_path / folder)
        other.distilled(other.recipe.students[0])
        metrics = (tmp_path / folder / "vgg" / "metrics.json").read_text()
        assert ('"asked": 0' not in metrics) == asked_any


def test_large_images_train_on_seeded_views_with_the_top_of_stored_answers(run, recipe_file, tmp_path):
    """End to end: images kept at 24 pixels, views of 16, three answers cut to two, all asked beforehand."""
    settings = [
        f"teacher.model=run:{run.folder / 'teacher'}",
        *(f"data.{setting}" for setting in ("augment=crop", "stored=24", "views=3", "jitter=0.2")),
        "distill.top=2",
        "distill.prefill=true",
        "train.epochs=1",
    ]
    one = Run(load_recipe(str(recipe_file), settings), tmp_path / "one")
    done = one.distilled(one.recipe.students[0])
    read = json.loads((done.parent / "metrics.json").read_text())["answers"]
    assert (read["asked"], read["reused"]) == (0, 96)
    (header,) = (json.loads(path.read_text()) for path in tmp_path.glob("soft-labels/*/header.json"))
    assert (header["shape"], header["top"]) == ([96, 3, 3], 2)
    assert header["views"].startswith("seeded-crop/1")
    assert header["data"] == one.splits.train.fingerprint
    assert checkpoint.read_about(done).metrics["top1"] > 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["distill.top=2", "distill.answers=online"], "distill.top is for stored soft labels"),
        (["distill.top=2", "task=tagging"], "probabilities that sum to 1, which tagging has not"),
    ],
)
def test_the_top_is_refused_where_it_means_nothing(recipe_file, tmp_path, settings, complaint):
    with pytest.raises(InputError, match=complaint):
        Run(load_recipe(str(recipe_file), settings), tmp_path / "r")


def test_recorded_answers_are_to_the_image_as_an_app_frames_it(run, recipe_file, tmp_path):
    settings = [
        f"teacher.model=run:{run.folder / 'teacher'}",
        "data.augment=crop",
        "data.stored=24",
        "distill.answers=recorded",
        "train.epochs=1",
    ]
    one = Run(load_recipe(str(recipe_file), settings), tmp_path / "one")
    one.distilled(one.recipe.students[0])
    (folder,) = (tmp_path / "soft-labels").iterdir()
    images = one.splits.train.preprocessed(one.recipe.data.preprocessing)
    network, _ = checkpoint.load(run.folder / "teacher")
    every = torch.ones(len(images))
    batch = Batch(torch.from_numpy(images.images), *[every] * 4)
    kept = np.fromfile(folder / "answers.f16", np.float16).reshape(len(images), 3)
    np.testing.assert_allclose(kept, OnlineTeacher(network).logits(batch).numpy(), rtol=1e-2, atol=2e-2)
