"""Where images come from: scikit-learn's digits, or a folder with one subfolder for each class."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.data.config import DataConfig
from zoo.data.imageset import ImageSet, Splits, check_memory, draw
from zoo.data.keypoints import has_points, point_names, read_faces
from zoo.errors import InputError, missing_package
from zoo.preprocess import Pixels, Preprocessing, preprocess
from zoo.preprocess.preprocessing import SUFFIXES
from zoo.progress import note, track

TEST_FOLDERS = ("test", "val", "valid", "validation")
Again = Callable[
    [npt.NDArray[np.int64]], Pixels
]  # reads images by number once more, preprocessed as the network sees them


def load(config: DataConfig, seed: int) -> Splits:
    """Read the images that `config` names, split them and hide labels: all by `seed`, the same every time."""
    splits = SOURCES[config.source](config, seed)
    train = splits.train
    if config.limit is not None and config.limit < len(train):
        train = train.take(draw(train.targets, config.limit, seed))
    validation = None
    if config.validation:
        held_out = draw(train.targets, config.validation, seed + 1)
        validation = train.take(held_out).preprocessed(config.preprocessing)
        train = train.take(np.setdiff1d(np.arange(len(train)), held_out))
    if config.labelled < 1:
        train = train.with_labels(draw(train.targets, config.labelled, seed))
    return Splits(train, splits.test, splits.labels, splits.skipped, validation)


def _split(
    everything: ImageSet, labels: list[str], config: DataConfig, seed: int, again: Again, skipped: int = 0
) -> Splits:
    """Hold out a test part, which is preprocessed as in an app, whatever training images are kept at."""
    held_out = draw(everything.targets, config.test, seed)
    kept, test = np.setdiff1d(np.arange(len(everything)), held_out), everything.take(held_out)
    if config.stored_preprocessing != config.preprocessing:
        test = replace(test, images=again(held_out))
    return Splits(everything.take(kept), test, labels, skipped)


def _all_labelled(images: Pixels, targets: list[int], names: list[str]) -> ImageSet:
    return ImageSet(images, np.asarray(targets, dtype=np.int64), names, np.ones(len(images), dtype=np.bool_))


def digit_scans() -> tuple[Pixels, list[int]]:
    """The 1,797 handwritten digits that ship with scikit-learn: uint8 [1797, 8, 8] grey, and their values.

    Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI 1998; 17 grey levels, stretched to 0..255.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise missing_package("scikit-learn", "train", "the digits data") from None
    bunch = load_digits()
    return (bunch.images * (255 / 16)).round().astype(np.uint8), bunch.target.tolist()


def _digits(config: DataConfig, seed: int) -> Splits:
    scans, targets = digit_scans()
    images = np.stack([preprocess(scan, config.stored_preprocessing)[0] for scan in scans])
    everything = _all_labelled(images, targets, [f"digit-{i:04d}" for i in range(len(images))])
    return _split(
        everything,
        [str(digit) for digit in range(10)],
        config,
        seed,
        lambda which: np.stack([preprocess(scan, config.preprocessing)[0] for scan in scans[which]]),
    )


def _folder(config: DataConfig, seed: int) -> Splits:
    if config.path is None:
        raise InputError("data.path is not given: the folder that holds CLASS/*.jpg (--set data.path=DIR)")
    root = config.path.expanduser()
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    held_out = None
    if (root / "train").is_dir():
        held_out = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
        root = root / "train"
    classes = _classes(root)
    train, bad = _read_folder(root, classes, config.stored_preprocessing, strict=config.strict)
    if held_out is None:
        return _split(
            train,
            classes,
            config,
            seed,
            lambda which: _pictures([root / train.names[i] for i in which], config.preprocessing),
            bad,
        )
    if _classes(held_out) != classes:
        different = sorted(set(_classes(held_out)) ^ set(classes))
        raise InputError(f"{root.parent}: train and {held_out.name} have different classes: {', '.join(different[:5])}")
    test, more_bad = _read_folder(held_out, classes, config.preprocessing, strict=config.strict)
    return Splits(train, test, classes, bad + more_bad)


def _keypoints(config: DataConfig, seed: int) -> Splits:
    if config.path is None:
        raise InputError("data.path is not given: the CSV file, or the folder of training.csv (--set data.path=PATH)")
    path = config.path.expanduser()
    training, test = (path / "training.csv", path / "test.csv") if path.is_dir() else (path, path)
    names = point_names(training, config.points)
    train, bad = read_faces(training, names, config.stored_preprocessing, strict=config.strict)
    if test == training or not test.is_file() or not has_points(test):
        return _split(
            train,
            names,
            config,
            seed,
            lambda which: read_faces(training, names, config.preprocessing, strict=config.strict)[0].images[which],
            bad,
        )
    held_out, more_bad = read_faces(test, names, config.preprocessing, strict=config.strict)
    return Splits(train, held_out, names, bad + more_bad)


def _tags(config: DataConfig, seed: int) -> Splits:
    if config.path is None or config.pairs is None:
        raise InputError("data.path (the images) and data.pairs (what `zoo label` wrote) are not both given")
    from zoo.data.tags import read_pairs

    pairs, folder = config.pairs, config.path
    images, targets, names, labels = read_pairs(pairs, folder, config.stored_preprocessing, tags=config.tags)
    everything = ImageSet(images, targets, names, np.ones(len(images), dtype=np.bool_))
    return _split(
        everything,
        labels,
        config,
        seed,
        lambda which: _pictures([folder / names[i] for i in which], config.preprocessing),
    )


def _classes(folder: Path) -> list[str]:
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(classes) < 2:
        found = f"only the class '{classes[0]}'" if classes else "no class"
        raise InputError(f"{folder} has {found}: at least two folders of images are needed, one for each class")
    return classes


def _read_folder(
    folder: Path, classes: list[str], preprocessing: Preprocessing, *, strict: bool
) -> tuple[ImageSet, int]:
    """All readable images of the classes, and how many could not be read."""
    paths: list[Path] = []
    targets: list[int] = []
    for target, name in enumerate(classes):
        found = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise InputError(f"class '{name}' has no images: {folder / name}")
        paths += found
        targets += [target] * len(found)
    check_memory(len(paths), preprocessing)
    with ThreadPoolExecutor(os.cpu_count()) as pool, track(f"reading {folder}", len(paths), quiet_log=True) as advance:
        decoded: list[Pixels | InputError] = []
        for image in pool.map(lambda path: _read_or_reason(path, preprocessing), paths):
            decoded.append(image)
            advance()
    bad = [reason for reason in decoded if isinstance(reason, InputError)]
    if bad and strict:
        raise InputError(f"{bad[0]} (and {len(bad) - 1} more)" if len(bad) > 1 else str(bad[0]))
    if bad:
        note(
            f"skipped {len(bad)} of {len(paths)} images: " + "; ".join(map(str, bad[:3])) + (" ..." if bad[3:] else "")
        )
    good = [(i, image) for i, image in enumerate(decoded) if not isinstance(image, InputError)]
    kept = [targets[i] for i, _ in good]
    for target, name in enumerate(classes):
        if target not in kept:
            raise InputError(f"class '{name}' has no readable images: {folder / name}")
    names = [str(paths[i].relative_to(folder)) for i, _ in good]
    return _all_labelled(np.stack([image for _, image in good]), kept, names), len(bad)


def _pictures(paths: list[Path], preprocessing: Preprocessing) -> Pixels:
    """All of them, or the error of the first that cannot be read."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(lambda path: preprocess(path, preprocessing)[0], paths)))


def _read_or_reason(path: Path, preprocessing: Preprocessing) -> Pixels | InputError:
    try:
        return preprocess(path, preprocessing)[0]
    except InputError as error:
        return error


SOURCES = {"digits": _digits, "folder": _folder, "keypoints": _keypoints, "tags": _tags}
