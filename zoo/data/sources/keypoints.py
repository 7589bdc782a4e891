"""`keypoints`: a CSV file of faces with marked points, or a folder with training.csv and test.csv."""

from __future__ import annotations

from zoo.data.config import DataConfig
from zoo.data.imageset import Splits
from zoo.data.keypoints import has_points, point_names, read_faces
from zoo.data.source import Source
from zoo.data.splitting import split
from zoo.errors import InputError


def _read(config: DataConfig, seed: int) -> Splits:
    if config.path is None:
        raise InputError("data.path is not given: the CSV file, or the folder of training.csv (--set data.path=PATH)")
    path = config.path.expanduser()
    training, test = (path / "training.csv", path / "test.csv") if path.is_dir() else (path, path)
    names = point_names(training, config.points)
    train, bad = read_faces(training, names, config.stored_preprocessing, strict=config.strict)
    if test == training or not test.is_file() or not has_points(test):
        return split(
            train,
            names,
            config,
            seed,
            lambda which: read_faces(training, names, config.preprocessing, strict=config.strict)[0].images[which],
            skipped=bad,
        )
    held_out, more_bad = read_faces(test, names, config.preprocessing, strict=config.strict)
    return Splits(train, held_out, names, bad + more_bad)


SOURCE = Source(_read, whole=True)
