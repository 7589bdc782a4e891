"""Training where the images lie: batches rendered on the device, logits prefetched, and no step waits for the GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.training import batches_of, cached, network_of, small_network
from zoo.data.seeded import SeededCrop
from zoo.data.views import CropFlip
from zoo.engines.torch.compiling import compiled
from zoo.errors import InputError
from zoo.learn.recipe.schema import Training, load_recipe
from zoo.learn.run.run import Run
from zoo.learn.run.specialists import SpecialistTeacher
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.train.batches import PREFETCHED_STEPS
from zoo.learn.train.learner import Learner
from zoo.learn.train.training import fit
from zoo.models import checkpoint


@pytest.mark.parametrize("views", [CropFlip(2, flip=True), SeededCrop(5, 16, jitter=0.3)], ids=["shift", "crop"])
def test_a_batch_holds_the_views_that_it_names(run, views):
    pixels = torch.from_numpy(run.splits.train.images)
    for batch in batches_of(run, views, steps=3):
        for shown, image, view in zip(batch.images, batch.indices, batch.views, strict=True):
            alone = views.apply(pixels[image][None], view[None], image[None])
            assert torch.equal(shown, alone[0])
        assert batch.targets.tolist() == run.splits.train.targets[batch.indices.numpy()].tolist()


def test_prefetched_logits_are_those_of_each_batch(run, tmp_path):
    """Also where a block ends inside an epoch, and when some were in the store before."""
    views, steps = CropFlip(1, flip=True), PREFETCHED_STEPS + 3
    asked, fetched = cached(run, views, tmp_path / "a"), cached(run, views, tmp_path / "b")
    batches = batches_of(run, views, steps)
    expected = [asked.logits(batch) for batch in batches]
    batches.prefetch = fetched.prefetch
    for _ in range(2):
        found = [batch.teacher_logits for batch in batches]
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert fetched.tally.asked == asked.tally.asked
    assert fetched.tally.reused == 2 * 8 * steps - asked.tally.asked

    two = SpecialistTeacher(fetched, np.array([2, 0]))
    batches.prefetch = two.prefetch
    assert all(torch.equal(a[:, [2, 0]], batch.teacher_logits) for a, batch in zip(expected, batches, strict=True))
    batches.prefetch = SpecialistTeacher(OnlineTeacher(network_of(run, "teacher")), np.array([0])).prefetch
    assert all(batch.teacher_logits is None for batch in batches)


class ReadsBack(TorchDispatchMode):
    """Counts what Python reads from tensors: on a GPU, each time is a wait for all that is queued."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        del types
        name = function.name()
        self.count += name in {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero"}
        return function(*arguments, **(named or {}))


@pytest.mark.parametrize("how", ["no teacher", "online", "cached", "averaged"])
def test_steps_read_no_number_back(run, tmp_path, how, monkeypatch):
    """A longer epoch reads no more than a short one: what is read is read at its end. The first one fills the store."""
    views = CropFlip(1, flip=True)
    teacher = {
        "no teacher": None,
        "averaged": None,
        "online": OnlineTeacher(network_of(run, "teacher")),
        "cached": cached(run, views, tmp_path / "store"),
    }[how]
    counts: list[tuple[int, list[str]]] = []
    copies: list[str] = []
    for name in ("tolist", "cpu"):  # on a CPU these are no operations that a mode could see
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda *a, name=name, real=real: copies.append(name) or real(*a))
    for steps in (9, 3, 9):
        network = small_network(run)
        settings = Training(epochs=1, batch=8, ema=0.9 if how == "averaged" else 0.0)
        learner = Learner(network, run.task, settings, batches_of(run, views, steps), teacher=teacher)
        test = run.splits.test.take(np.arange(6))
        copies.clear()
        with ReadsBack() as reads:
            fit(learner, tmp_path / str(len(counts)), test, title="t", settings=settings, processes=1, resume=False)
        counts.append((reads.count, sorted(copies)))
    assert counts[2] == counts[1]
    assert counts[1][0] > 0
    assert "tolist" in counts[1][1]


@pytest.mark.slow
def test_a_compiled_training_leaves_an_ordinary_network(recipe_file, run, tmp_path):
    """The same state dict as any other, about the same numbers after a few steps, and the same bits when repeated."""
    settings = ["train.epochs=1", f"teacher.model=run:{run.folder / 'teacher'}", 'distill.answers="online"']

    def trained(name, *more):
        made = Run(load_recipe(str(recipe_file), [*settings, *more]), tmp_path / name)
        return checkpoint.load(made.distilled(made.recipe.students[0]))[0]

    plain, fast = trained("plain"), trained("fast", "train.compile=default")
    assert plain.state_dict().keys() == fast.state_dict().keys()
    images = torch.from_numpy(run.splits.test.images[:4])
    torch.testing.assert_close(fast(images), plain(images), rtol=0.05, atol=0.05)
    again = trained("again", "train.compile=default").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in fast.state_dict().items())


def test_hints_and_compiling_exclude_each_other(recipe_file, tmp_path):
    hint = '{student="features.3", teacher="features.3", loss="fitnet", weight=1.0}'
    settings = ["train.compile=default", f"distill.hints=[{hint}]", 'distill.answers="online"']
    with pytest.raises(InputError, match=r"train\.compile leaves out the hooks"):
        Run(load_recipe(str(recipe_file), settings), tmp_path / "r")


def test_what_is_not_compiled_is_the_function_itself():
    assert compiled(len, "off") is len
