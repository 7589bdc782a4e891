"""What the folders of a data set mean: classes, and the splits that some come with.

    DIR/CLASS/...                      classes; what is tested on is drawn from them
    DIR/{train,test}/CLASS/...         the same in splits, however they are spelled: training_set, Val, valid, TestSet

A folder called `train` beside other folders of pictures is a class like them, unless DIR has another split, too. A
split without classes (test images whose labels nobody gave away) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.data.folders import has_pictures, pictures, subfolders
from zoo.errors import InputError, nearest

TRAIN, VALIDATION, TEST = SPLITS = "train", "validation", "test"
SPLIT = re.compile(  # the words that name a split, alone or with one that says what it is: seg_train, test-images
    rf"(?:seg[ _-]?)?(?:(?P<{TRAIN}>train(?:ing)?)|(?P<{VALIDATION}>val|valid|validation)|(?P<{TEST}>test(?:ing)?))"
    r"(?:[ _-]?(?:sets?|split|data|dataset|images?|imgs?|folder|dir))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Layout:
    """Where the class folders lie: in `train`, and in the splits that are held out and have classes, else None.

    `ignored`: folders with pictures that belong to none of them.
    """

    train: Path | None
    validation: Path | None = None
    test: Path | None = None
    ignored: tuple[Path, ...] = ()

    @property
    def held_out(self) -> Path | None:
        """What a network is tested on: the test images, or else those for validation; None: it has to be drawn."""
        return self.test or self.validation


def layout(root: Path) -> Layout:
    """What the folders in `root` are; `train` is `root` itself where there are no splits, and None where there are
    and none is for training. `InputError` when a folder cannot be read.
    """
    inside = [(folder, split_of(folder.name)) for folder in subfolders(root)]
    splits = {split: _plainest(folder for folder, what in inside if what == split) for split in SPLITS}
    train, others = splits[TRAIN], [folder for folder, what in inside if what is None and has_pictures(folder)]
    if not any(splits.values()):
        return Layout(root)
    if others and not (train and has_classes(train) and (splits[VALIDATION] or splits[TEST])):
        return Layout(root)
    train = train and _unpacked(train)
    validation, test = (_held_out(splits[split], train) for split in (VALIDATION, TEST))
    more = [folder for folder, what in inside if what and folder not in splits.values() and has_pictures(folder)]
    return Layout(train, validation, test, tuple(sorted(others + more)))


def split_of(name: str) -> str | None:
    """ "train", "validation" or "test" for a folder that is called like a split, else None."""
    found = SPLIT.fullmatch(name)
    return found and found.lastgroup


def class_names(folder: Path) -> list[str]:
    """The names of the class folders in a folder, sorted: the order in which classes are numbered."""
    return [path.name for path in subfolders(folder)]


def has_classes(folder: Path) -> bool:
    """Whether pictures lie in a folder of the folder: those of a class."""
    return any(has_pictures(inside) for inside in subfolders(folder))


def labelled(folder: Path, labels: Sequence[str]) -> list[tuple[Path, int]]:
    """The pictures of DIR/CLASS/... with the index of their class in `labels`, class by class. Of a folder with splits
    it is those that are held out.

    `InputError` for a class that is none of `labels`.
    """
    index = {label: place for place, label in enumerate(labels)}
    if not set(class_names(folder)) <= set(index):
        splits = layout(folder)
        folder = splits.held_out or splits.train or folder
    found: list[tuple[Path, int]] = []
    for part in subfolders(folder):
        if part.name not in index:
            raise InputError(f"{part} is not a class of this network{nearest(part.name, labels)}")
        found += [(path, index[part.name]) for path in pictures(part)]
    return found


def _plainest(folders: Iterable[Path]) -> Path | None:
    """Of several folders for one split the one with the shortest name: `train` before `train_images`."""
    return min(folders, key=lambda folder: (len(folder.name), folder.name), default=None)


def _unpacked(folder: Path) -> Path:
    """`seg_train/seg_train/CLASS` means the inner folder: some archives unpack so."""
    inside = subfolders(folder)
    return inside[0] if len(inside) == 1 and inside[0].name == folder.name else folder


def _held_out(folder: Path | None, train: Path | None) -> Path | None:
    """A split's folder, None where it has no classes: pictures alone, or all of them in one folder that is none of the
    classes, as in `test/unknown`.
    """
    if folder is None or not has_classes(folder := _unpacked(folder)):
        return None
    names = class_names(folder)
    return None if train and len(names) == 1 and names[0] not in class_names(train) else folder
