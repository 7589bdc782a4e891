"""Small trainings of the shared run's networks: batches, teachers, and a Capturer that needs no GPU."""

from __future__ import annotations

import torch

from zoo.data.views import CropFlip
from zoo.learn.recipe.schema import Training
from zoo.learn.teachers.cached import CachedTeacher
from zoo.learn.teachers.online import OnlineTeacher
from zoo.learn.teachers.soft_labels import SoftLabels
from zoo.learn.train.batches import Batches
from zoo.learn.train.curves import FILE
from zoo.learn.train.learner import Learner
from zoo.learn.train.training import fit
from zoo.models import checkpoint
from zoo.models.construct import build
from zoo.models.normalisation import Normalised

VIEWS = CropFlip(1, flip=True)


def batches_of(run, views, steps, batch=8):
    return Batches(run.splits.train, views, run.task, batch=batch, steps=steps, seed=5)


def network_of(run, name):
    return checkpoint.load(run.folder / name)[0]


def small_network(run):
    """The run's first student, untrained, for its three classes."""
    return Normalised(build(run.recipe.students[0], classes=3, size=16), (0.5,) * 3, (0.5,) * 3)


def cached(run, views, folder):
    """The run's teacher, with a store below `folder`."""
    teacher = OnlineTeacher(network_of(run, "teacher"))
    images = run.splits.train
    store = SoftLabels.within(
        folder,
        images=len(images),
        views=views.count,
        outputs=3,
        data=images.fingerprint,
        view_set=views.fingerprint,
        teacher=teacher.fingerprint,
    )
    return CachedTeacher(teacher, store)


def learnt(run, folder, compile, teacher=None, *, distill=None, steps=7, epochs=3, resume=False, **settings):
    """The state of a small network after a training, and its curves."""
    torch.manual_seed(11)
    network = small_network(run)
    how = Training(epochs=epochs, batch=8, compile=compile, **settings)
    subject = Learner(network, run.task, how, batches_of(run, VIEWS, steps), teacher=teacher, distill=distill)
    fit(subject, folder, run.splits.test, title="t", settings=how, processes=1, resume=resume)
    return network.cpu().state_dict(), (folder / "logs" / FILE).read_text()
