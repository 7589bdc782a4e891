"""How a recipe's students get their teacher's answers: asked every time, or stored and asked once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from zoo.data import ImageSet
from zoo.data.views import CropFlip, Views
from zoo.learn.recipe.schema import Recipe
from zoo.learn.teachers.base import CachedTeacher, LiveTeacher, Teacher
from zoo.learn.teachers.soft_labels import SoftLabels
from zoo.learn.train.batches import Batch
from zoo.progress import track

AS_IT_IS = CropFlip(pad=0, flip=False)  # the one view that changes nothing


def answers_of(
    online: LiveTeacher, images: ImageSet, views: Views, recipe: Recipe, outputs: int, stores: Path
) -> Teacher:
    """The recipe's way. A store lies in `distill.store`, or below `stores` under the name of what it holds."""
    wanted = recipe.distill
    if wanted.answers == "online":
        return online
    recorded = wanted.answers == "recorded"
    if recorded:
        images, views = images.preprocessed(recipe.data.preprocessing), AS_IT_IS
    held: dict[str, Any] = {
        "images": len(images),
        "views": views.count,
        "outputs": outputs,
        "data": images.fingerprint,
        "view_set": views.fingerprint,
        "teacher": online.fingerprint,
        "top": min(wanted.top, outputs),
    }
    store = SoftLabels.open(wanted.store, **held) if wanted.store else SoftLabels.within(stores, **held)
    cached = CachedTeacher(online, store, originals=torch.from_numpy(images.images) if recorded else None)
    if wanted.prefill:
        answer_everything(cached, images, views, batch=recipe.train.batch)
    return cached


def answer_everything(teacher: CachedTeacher, images: ImageSet, views: Views, *, batch: int) -> None:
    """Have every view of every image answered, so that no later training needs the network; goes on where an earlier
    call stopped. On the GPU if there is one.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pixels, targets = torch.from_numpy(images.images), torch.from_numpy(images.targets)
    with track("answering every view", views.count * len(images)) as advance:
        for view in range(views.count):
            for part in torch.arange(len(images)).split(batch):
                which = part[~torch.from_numpy(teacher.store.has(part.numpy(), torch.full_like(part, view).numpy()))]
                if len(which):
                    seen, every = torch.full_like(which, view), torch.ones_like(which, dtype=torch.bool)
                    shown = views.apply(pixels[which].to(device), seen, which)
                    teacher.answer(Batch(shown, targets[which], every, which, seen))
                advance(len(part))
