"""Opening a bundle and checking it against its own manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from zoo.bundle.manifest import Manifest, read_manifest
from zoo.errors import InputError
from zoo.files import sha256
from zoo.tasks.registry import TASKS

MANIFEST = "manifest.json"


def inside(name: str) -> bool:
    """Whether a file that a manifest lists lies inside the bundle."""
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts


@dataclass(frozen=True)
class Bundle:
    """A `name.zoo/` folder whose manifest was read; files are checked when they are used, or all by `check_files`."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read the manifest of the bundle at `path`. Raises `InputError` when it is not a bundle."""
        path = Path(path)
        if not path.exists():
            raise InputError(f"no such bundle: {path}")
        if not path.is_dir():
            raise InputError(f"{path} is not a bundle: a bundle is a folder with a {MANIFEST}")
        return cls(path, read_manifest(path / MANIFEST))

    def file(self, name: str) -> Path:
        """The path of a file that the manifest lists, its size and hash checked."""
        entry = self.manifest.files.get(name)
        if entry is None:
            raise InputError(f"{self.path}: the manifest does not list {name}")
        if not inside(name):
            raise InputError(f"{self.path}: {name} points outside the bundle")
        path = self.path / name
        if not path.is_file():
            raise InputError(f"{self.path}: {name} is missing")
        if path.stat().st_size != entry.bytes:
            raise InputError(f"{self.path}: {name} has {path.stat().st_size} bytes, the manifest says {entry.bytes}")
        if sha256(path) != entry.sha256:
            raise InputError(f"{self.path}: {name} is damaged: its SHA-256 is not the one in the manifest")
        return path

    def check_files(self) -> int:
        """Check every listed file; returns how many there are."""
        for name in self.manifest.files:
            self.file(name)
        return len(self.manifest.files)

    def labels(self) -> list[str]:
        """Names of the classes, tags or points, in output order."""
        labels = json.loads(self.file(self.manifest.labels).read_text(encoding="utf-8"))
        if not isinstance(labels, list):
            raise InputError(f"{self.path}: {self.manifest.labels} must be a list of names")
        outputs = TASKS[self.manifest.task](labels, self.manifest.input.height).outputs
        if outputs != self.manifest.output.size:
            raise InputError(f"{self.path}: {len(labels)} names do not fit {self.manifest.output.size} outputs")
        return [str(label) for label in labels]

    def selftest(self) -> dict[str, np.ndarray]:
        """The self-test vectors: `image` uint8 [N, H, W, 3] and one `PRECISION` float32 [N, size] per graph."""
        from safetensors.numpy import load_file

        return load_file(self.file(self.manifest.selftest.file))
