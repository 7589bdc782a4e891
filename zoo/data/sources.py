"""Where images come from: scikit-learn's digits, or a folder with one subfolder for each class."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from zoo.data.config import DataConfig
from zoo.data.imageset import ImageSet, Splits, draw
from zoo.errors import InputError, missing_package
from zoo.images import SUFFIXES, Framing, Pixels, read
from zoo.progress import note, track

TEST_FOLDERS = ("test", "val", "valid", "validation")


def load(config: DataConfig, seed: int) -> Splits:
    """Read the images that `config` names, split them and hide labels: all by `seed`, the same every time."""
    splits = _digits(config, seed) if config.source == "digits" else _folder(config, seed)
    train = splits.train
    if config.limit is not None and config.limit < len(train):
        train = train.take(draw(train.targets, config.limit, seed))
    if config.labelled < 1:
        train = train.with_labels(draw(train.targets, config.labelled, seed))
    return Splits(train, splits.test, splits.classes, splits.skipped)


def _split(everything: ImageSet, classes: list[str], test: float, seed: int, skipped: int = 0) -> Splits:
    held_out = draw(everything.targets, test, seed)
    kept = np.setdiff1d(np.arange(len(everything)), held_out)
    return Splits(everything.take(kept), everything.take(held_out), classes, skipped)


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
    images = np.stack([read(scan, config.framing) for scan in scans])
    names = [f"digit-{i:04d}" for i in range(len(images))]
    return _split(_all_labelled(images, targets, names), [str(digit) for digit in range(10)], config.test, seed)


def _folder(config: DataConfig, seed: int) -> Splits:
    if config.path is None:
        raise InputError("data.path is not given: the folder that holds CLASS/*.jpg (--set data.path=DIR)")
    root = config.path.expanduser()
    if not root.is_dir():
        raise InputError(f"no such folder: {root}")
    if (root / "train").is_dir():
        held_out = next((root / name for name in TEST_FOLDERS if (root / name).is_dir()), None)
        classes = _classes(root / "train")
        train, bad = _read_folder(root / "train", classes, config)
        if held_out is None:
            return _split(train, classes, config.test, seed, bad)
        if _classes(held_out) != classes:
            different = sorted(set(_classes(held_out)) ^ set(classes))
            raise InputError(f"{root}: train and {held_out.name} have different classes: {', '.join(different[:5])}")
        test, more_bad = _read_folder(held_out, classes, config)
        return Splits(train, test, classes, bad + more_bad)
    classes = _classes(root)
    everything, bad = _read_folder(root, classes, config)
    return _split(everything, classes, config.test, seed, bad)


def _classes(folder: Path) -> list[str]:
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(classes) < 2:
        found = f"only the class '{classes[0]}'" if classes else "no class"
        raise InputError(f"{folder} has {found}: at least two folders of images are needed, one for each class")
    return classes


def _read_folder(folder: Path, classes: list[str], config: DataConfig) -> tuple[ImageSet, int]:
    """All readable images of the classes, and how many could not be read."""
    paths: list[Path] = []
    targets: list[int] = []
    for target, name in enumerate(classes):
        found = sorted(p for p in (folder / name).rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not found:
            raise InputError(f"class '{name}' has no images: {folder / name}")
        paths += found
        targets += [target] * len(found)
    _check_memory(len(paths), config.framing)
    with ThreadPoolExecutor(os.cpu_count()) as pool, track(f"reading {folder}", len(paths), quiet_log=True) as advance:
        decoded: list[Pixels | InputError] = []
        for image in pool.map(lambda path: _read_or_reason(path, config.framing), paths):
            decoded.append(image)
            advance()
    bad = [reason for reason in decoded if isinstance(reason, InputError)]
    if bad and config.strict:
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


def _read_or_reason(path: Path, framing: Framing) -> Pixels | InputError:
    try:
        return read(path, framing)
    except InputError as error:
        return error


def _check_memory(count: int, framing: Framing) -> None:
    needed = count * framing.height * framing.width * 3
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there // 3:  # decoded once, stacked once, and room for the training itself
        gib = 2**30
        raise InputError(
            f"{count} images of {framing.height} pixels need {needed / gib:.1f} GiB and this machine has "
            f"{there / gib:.1f}: choose a smaller data.size or a part of the images"
        )
