"""`folder`: a folder of class folders, in splits or not, as `zoo.data.class_folders` understands them."""

from __future__ import annotations

from pathlib import Path

from zoo.data.class_folders import class_names, layout, split_of
from zoo.data.config import DataConfig
from zoo.data.decoding import decode, decode_readable
from zoo.data.folders import pictures
from zoo.data.imageset import ImageSet, Splits
from zoo.data.source import Source, all_labelled
from zoo.data.splitting import split
from zoo.errors import InputError
from zoo.preprocess import Preprocessing
from zoo.progress import note


def _read(config: DataConfig, seed: int) -> Splits:
    if config.path is None:
        raise InputError("data.path is not given: the folder that holds CLASS/*.jpg (--set data.path=DIR)")
    root = config.path.expanduser()
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    train_folder, held_out = _folders(root)
    classes = _classes(train_folder)
    train, bad = _images(train_folder, classes, config.stored_preprocessing, strict=config.strict)
    if held_out is None:
        return split(
            train,
            classes,
            config,
            seed,
            lambda which: decode([train_folder / train.names[i] for i in which], config.preprocessing),
            skipped=bad,
        )
    if different := sorted(set(_classes(held_out)) ^ set(classes)):
        raise InputError(f"{train_folder} and {held_out} have different classes: {', '.join(different[:5])}")
    test, more_bad = _images(held_out, classes, config.preprocessing, strict=config.strict)
    return Splits(train, test, classes, bad + more_bad)


def _folders(root: Path) -> tuple[Path, Path | None]:
    """The class folders that are trained on, and those that are tested on where the data says so."""
    found = layout(root)
    if found.train is None:
        raise InputError(f"{root} has {' and '.join(class_names(root))}, and no folder of images to train on")
    if found.ignored:
        note(f"{root}: left out {', '.join(folder.name for folder in found.ignored)}, which is no split of the images")
    if found.train == root and (odd := [name for name in class_names(root) if split_of(name)]):
        note(f"{root}: {' and '.join(odd)} is read as a class, like the folders beside it")
    return found.train, found.held_out


def _classes(folder: Path) -> list[str]:
    classes = class_names(folder)
    if len(classes) < 2:
        found = f"only the class '{classes[0]}'" if classes else "no class"
        raise InputError(f"{folder} has {found}: at least two folders of images are needed, one for each class")
    return classes


def _images(folder: Path, classes: list[str], preprocessing: Preprocessing, *, strict: bool) -> tuple[ImageSet, int]:
    """All readable images of the classes, and how many could not be read."""
    paths: list[Path] = []
    targets: list[int] = []
    for target, name in enumerate(classes):
        found = pictures(folder / name)
        if not found:
            raise InputError(f"class '{name}' has no images: {folder / name}")
        paths += found
        targets += [target] * len(found)
    images, good = decode_readable(paths, preprocessing, what=f"reading {folder}", strict=strict)
    kept = [targets[i] for i in good]
    for target, name in enumerate(classes):
        if target not in kept:
            raise InputError(f"class '{name}' has no readable images: {folder / name}")
    return all_labelled(images, kept, [str(paths[i].relative_to(folder)) for i in good]), len(paths) - len(good)


SOURCE = Source(_read)
