"""How a recipe's students get their teacher's logits: computed in every step, or stored and computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from zoo.data import ImageSet
from zoo.data.views import CropFlip, Views
from zoo.learn.recipe.schema import Recipe
from zoo.learn.teachers.base import Teacher
from zoo.learn.teachers.cached import CachedTeacher
from zoo.learn.teachers.soft_labels import SoftLabels, view_set

ORIGINAL = CropFlip(pad=0, flip=False)  # the one view that changes nothing


def teacher_by_recipe(
    online: Teacher, images: ImageSet, views: Views, recipe: Recipe, outputs: int, stores: Path
) -> Teacher:
    """`online` itself, or a `CachedTeacher` around it, as `distill.answers` says. The store of soft labels is
    `distill.store`, or a folder below `stores` whose name says what it holds.
    """
    wanted = recipe.distill
    if wanted.answers == "online":
        return online
    originals, preprocessing = wanted.answers == "recorded", recipe.data.stored_preprocessing
    if originals:
        preprocessing = recipe.data.preprocessing
        images, views = images.preprocessed(preprocessing), ORIGINAL
    held: dict[str, Any] = {
        "images": len(images),
        "views": views.count,
        "outputs": outputs,
        "data": images.fingerprint,
        "view_set": view_set(views, preprocessing),
        "teacher": online.fingerprint,
        "top": min(wanted.top, outputs),
    }
    store = SoftLabels.open(wanted.store, **held) if wanted.store else SoftLabels.within(stores, **held)
    cached = CachedTeacher(online, store, originals=torch.from_numpy(images.images) if originals else None)
    if wanted.prefill:
        cached.fill(images, views, batch=recipe.train.batch)
    return cached
