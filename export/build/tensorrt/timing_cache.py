"""What TensorRT measured in earlier builds, kept for each GPU and version, so that the next build is shorter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.bundle.sidecar import Processor, engine_key
from zoo.files import atomic_file, cache_folder, locked
from zoo.progress import note


class TimingCache:
    """`data`, as it was read; `keep` writes what came of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path.read_bytes() if path.is_file() else b""

    def keep(self, data: bytes) -> None:
        """Write the cache after a build, whole or not at all. A disk that is full must not cost the finished plan."""
        try:
            with atomic_file(self.path) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            note(f"TensorRT's timings are not kept: {error.strerror}: {self.path}")


@contextmanager
def timing_cache(gpu: Processor, tensorrt: str) -> Iterator[TimingCache]:
    """The cache of this GPU and TensorRT version, under a lock for as long as the block runs.

    The lock is held during the whole build: another build on the same GPU would disturb the very times that this one
    chooses its kernels by.
    """
    path = cache_folder() / "tensorrt" / f"{engine_key(gpu.name, gpu.kind, tensorrt)}.timing"
    lock = path.with_suffix(".lock")
    with locked(lock, waiting=lambda: note(f"waiting for another build on the {gpu.name} to end ...")):
        yield TimingCache(path)
